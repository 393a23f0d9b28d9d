"""A factory's home for building layers, without the rest of the factory."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activities.imaging.apt_sources import Mirrors
from activities.imaging.assembly_plans import AssemblyPlan
from activities.imaging.layers import LayerFactory
from activities.imaging.lock import Lock, read_lock, store_lock
from activities.imaging.models import LayerInput, LayerResult, ResolveInput
from activities.imaging.resolve import AptResolver
from activities.imaging.stages import image_tree
from activities.imaging.stages.frame import Stage
from activities.imaging.store import LayerIndex, LocalBlobStore
from activities.job import Job
from domain.artifacts import Blob, Layer, LayerKind
from domain.canonical import canonical_json
from domain.recipe.schema import Recipe
from infra.settings import Settings
from tests.fakes.objects import FakeObjectStore
from tests.unit.imaging.locked import Notes

JOB = Job(job_id="job-1", org_id="org")
# The kernel and its ramdisk are most of an image's build time and none of what is looked at here.
_HEAVY = ("linux-image", "live-boot", "initramfs-tools")


@dataclass
class Builds:
    """Builds below `home`, whose package files come from `mirrors`."""

    home: Path
    mirrors: Mirrors
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        settings = Settings(
            home=self.home,
            public_url="http://127.0.0.1",
            host_id="test",
            mirror=self.mirrors.main,
            security_mirror=self.mirrors.security,
        )
        self.store = LocalBlobStore(self.home)
        self.objects = FakeObjectStore()
        self.resolver = AptResolver(settings, self.store, self.objects)
        self.factory = LayerFactory(settings, self.store, LayerIndex(self.home, self.store))

    async def solve(self, recipe: dict[str, Any]) -> Lock:
        """Solve a recipe."""
        result = await self.resolver.resolve(ResolveInput(job=JOB, recipe=canonical(recipe)), self.notes)
        return read_lock(self.store, result.lock)

    async def solve_as(self, recipe: dict[str, Any], lock: Lock) -> Lock:
        """Have the packages of an earlier build of the recipe, whose lock was published."""
        data = canonical_json(lock)
        blob = Blob(digest=hashlib.sha256(data).hexdigest(), bytes=len(data))
        self.objects.objects[f"blobs/{blob.digest}"] = data
        request = ResolveInput(job=JOB, recipe=canonical(recipe), lock=blob)
        return read_lock(self.store, (await self.resolver.resolve(request, self.notes)).lock)

    async def lighten(self, lock: Lock) -> Blob:
        """Leave the kernel out of a lock."""
        parts = {"system": lock.system, "packages": lock.packages}
        light = {name: tuple(p for p in part if not p.name.startswith(_HEAVY)) for name, part in parts.items()}
        return await store_lock(self.store, lock.model_copy(update=light))

    async def layer(self, kind: LayerKind, recipe: dict[str, Any], lock: Blob, parent: Layer | None) -> LayerResult:
        """Make one layer."""
        request = LayerInput(job=JOB, recipe=canonical(recipe), lock=lock, parent=parent)
        return await self.factory.build(request, kind, self.notes)

    async def layers(self, recipe: dict[str, Any], lock: Blob) -> list[LayerResult]:
        """Make all three layers."""
        base = await self.layer("base", recipe, lock, None)
        package = await self.layer("package", recipe, lock, base.layer)
        return [base, package, await self.layer("configuration", recipe, lock, package.layer)]

    async def unpack(self, layer: Layer, work: Path) -> Path:
        """Unpack a layer where it can be looked into."""
        work.mkdir()
        plan = AssemblyPlan(
            epoch=0,
            layers=tuple(map(self.store.path, layer.blobs)),
            digest="",
            title="",
            work=work,
            output=work / "none",
            scratch_bytes=None,
        )
        return await image_tree.unpack(plan, Stage(0))

    def left_over(self) -> list[str]:
        """What is still in the folder of workspaces."""
        folder = self.home / "tmp"
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def canonical(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe as workflows pass it on."""
    return Recipe.model_validate(recipe).model_dump(mode="json", by_alias=True)
