"""The three layers of an image, each made once for all recipes that need the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from activities.imaging.apt_debs import DebCache
from activities.imaging.apt_image_sources import image_sources
from activities.imaging.apt_problems import paths_of
from activities.imaging.apt_root import AptRoot
from activities.imaging.apt_sources import find_mirrors
from activities.imaging.disk_space import require_disk, scratch_memory
from activities.imaging.keys import LayerIngredients
from activities.imaging.layers_plans import BasePlan, ConfigurationPlan, LayerPlan, PackagePlan
from activities.imaging.lock import Lock, LockedPackage, packages_digest, packages_text, read_lock, release_text
from activities.imaging.models import FetchInput, FetchResult, LayerInput, LayerResult
from activities.imaging.stage_runner import run_stage
from activities.imaging.store import LayerIndex, LocalBlobStore
from activities.imaging.tools import tool_versions
from activities.imaging.workspace import open_workspace
from activities.step_log import StepLog
from domain.artifacts import Layer, LayerKind
from domain.errors import Fault, Verdict
from domain.recipe.defaults import system_packages
from domain.recipe.schema import Recipe
from infra.settings import Settings
from infra.sources import source_digest

_STAGES = Path(__file__).parent / "stages"
_SHARED = ("frame.py", "layer_tree.py")
_SOURCES: dict[LayerKind, tuple[str, ...]] = {
    "base": (*_SHARED, "install.py", "base_layer.py"),
    "package": (*_SHARED, "install.py", "package_layer.py"),
    "configuration": (
        *_SHARED,
        "difference.py",
        "configuration_layer.py",
        "accounts.py",
        "services.py",
        "system_files.py",
    ),
}
_PARENT: dict[LayerKind, LayerKind | None] = {"base": None, "package": "base", "configuration": "package"}
_EXTRA_BYTES = 1 << 30  # what maintainer scripts make: caches, ramdisks, logs
_PACKED_SHARE = 0.6  # of the unpacked size; measured 0.3 to 0.4


@dataclass
class LayerFactory:
    """Makes layers, or adopts them by key (`ports.LayerBuilder`).

    A repeat is safe at any point: a layer appears in the index only when its blob is complete. Two
    builds that need the same layer at once wait for one another in one worker, and come to the same
    bytes in two.
    """

    settings: Settings
    store: LocalBlobStore
    index: LayerIndex
    _busy: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary[str, asyncio.Lock], init=False, repr=False
    )
    _sources: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str], init=False, repr=False)

    async def build(self, request: LayerInput, kind: LayerKind, log: StepLog) -> LayerResult:
        """Make the layer of this `kind` on its parent.

        Raises:
            Verdict: `package.install_failed`, `package.superseded`, `service.not_found`, `user.conflict`,
                `group.not_found`.
            Fault: `disk.full`, `lock.missing`, `layer.missing_parent`, `mirror.…`, `layer.…`.

        """
        recipe = Recipe.model_validate(request.recipe)
        lock = read_lock(self.store, request.lock)
        self._require_parent(request.parent, kind)
        key = (await self._ingredients(recipe, lock, request.parent, kind)).key
        busy = self._busy.setdefault(key, asyncio.Lock())
        async with busy:
            found = self.index.find(key)
            if found is not None:
                log.line(f"The {kind} layer {key[:12]} is here already.")
                log.progress(100, "adopted")
                return LayerResult(layer=found, cached=True, summary=f"{kind} layer {key[:12]} adopted")
            if kind == "package" and (same := self._nothing_on(request.parent, key, lock, recipe)) is not None:
                log.progress(100, "nothing to install")
                return LayerResult(layer=same, cached=True, summary=f"package layer {key[:12]}: the base has it all")
            layer = await self._make(request, recipe, lock, (kind, key), log)
        return LayerResult(layer=layer, cached=False, summary=_summary(layer, lock))

    async def fetch(self, request: FetchInput, log: StepLog) -> FetchResult:
        """Download what the package layer lacks, so that it need not wait for it.

        Raises:
            Verdict: `package.superseded`.
            Fault: `lock.missing`, `mirror.…`: the package layer will say so, too.

        """
        lock = read_lock(self.store, request.lock)
        async with open_workspace(self.settings.home, request.job.job_id, "packages") as workspace:
            return FetchResult(files=await self._fetch(lock, lock.packages, workspace, log))

    def _require_parent(self, parent: Layer | None, kind: LayerKind) -> None:
        wanted = _PARENT[kind]
        if wanted is None:
            return
        if parent is None or parent.kind != wanted or not self.store.has(parent.blob):
            raise Fault.because(
                "layer.missing_parent",
                f"The {kind} layer needs the {wanted} layer, which is not on this host.",
                next="Retry; the missing layer is made again.",
            )

    def _nothing_on(self, base: Layer | None, key: str, lock: Lock, recipe: Recipe) -> Layer | None:
        """Give the package layer of a recipe whose packages are all in the base: its bytes are the base's."""
        if base is None or lock.packages or _wanted_besides(lock, recipe):
            return None
        layer = Layer(kind="package", key=key, blob=base.blob)
        self.index.record(layer)
        return layer

    async def _ingredients(self, recipe: Recipe, lock: Lock, parent: Layer | None, kind: LayerKind) -> LayerIngredients:
        settings: dict[str, object] = {}
        if kind == "base":
            settings = {"wanted": system_packages(recipe) if lock.system else ()}
        if kind == "package":
            settings = {"wanted": lock.wanted}
        if kind == "configuration":
            settings = {"recipe": configured(recipe), "image_mirror": self.settings.image_mirror}
        return LayerIngredients(
            kind=kind,
            parent_key=parent.key if parent is not None and _PARENT[kind] is not None else None,
            tools=await tool_versions(),
            suite=lock.suite,
            arch=lock.arch,
            epoch=lock.epoch,
            packages=packages_digest(() if kind == "configuration" else _of_layer(lock, kind)),
            sources=source_digest(_STAGES / name for name in _SOURCES[kind]),
            settings=settings,
        )

    async def _make(
        self, request: LayerInput, recipe: Recipe, lock: Lock, layer: tuple[LayerKind, str], log: StepLog
    ) -> Layer:
        kind, key = layer
        self._require_space(lock, kind)
        async with open_workspace(self.settings.home, request.job.job_id, f"{kind}_layer") as workspace:
            plan = await self._plan(request, recipe, lock, kind, (workspace, log))
            try:
                await run_stage(f"{kind}_layer", plan, log)
            except Verdict as verdict:
                raise _placed(verdict, recipe) from verdict
            blob = await self.store.adopt(plan.output)
        on = request.parent.blob if kind == "configuration" and request.parent is not None else None
        made = Layer(kind=kind, key=key, blob=blob, on=on)
        self.index.record(made)
        log.progress(100, "stored")
        return made

    async def _plan(
        self, request: LayerInput, recipe: Recipe, lock: Lock, kind: LayerKind, where: tuple[Path, StepLog]
    ) -> LayerPlan:
        workspace, log = where
        work = workspace / "tree"
        work.mkdir()
        frame = LayerPlan(
            epoch=lock.epoch,
            output=workspace / "layer",
            work=work,
            scratch_bytes=scratch_memory(_tree_bytes(lock, kind)),
        ).model_dump()
        parent = self.store.path(request.parent.blob) if request.parent is not None else Path()
        if kind == "configuration":
            sources = await self._image_sources(lock.suite, workspace)
            return ConfigurationPlan(**frame, parent=parent, recipe=configured(recipe), apt_sources=sources)
        packages, wanted = (lock.system, system_packages(recipe)) if kind == "base" else (lock.packages, lock.wanted)
        frame |= {
            "repository": await self._repository(lock, _of_layer(lock, kind), workspace, log),
            "targets": tuple(package.target for package in packages),
            "automatic": tuple(_name(package) for package in packages if package.name not in wanted),
        }
        if kind == "base":
            return BasePlan(**frame, suite=lock.suite, arch=lock.arch, expected=_expected(lock.shared))
        return PackagePlan(
            **frame, parent=parent, manual=_wanted_besides(lock, recipe), expected=_expected(lock.everything)
        )

    async def _image_sources(self, suite: str, workspace: Path) -> str:
        """Ask each version of the bootstrap tool once: it takes a quarter of a second to say the same again."""
        asked = (suite, str(await tool_versions(("mmdebstrap",))))
        if asked not in self._sources:
            self._sources[asked] = await image_sources(suite, self.settings.image_mirror, workspace)
        return self._sources[asked]

    async def _repository(self, lock: Lock, packages: Sequence[LockedPackage], workspace: Path, log: StepLog) -> Path:
        """Make a flat repository of just these packages, fetching what is not in the cache."""
        await self._fetch(lock, packages, workspace, log)
        repository = workspace / "repository"
        repository.mkdir()
        DebCache(self.settings.home).link(packages, repository)
        index = packages_text(packages)
        (repository / "Packages").write_bytes(index)
        (repository / "Release").write_bytes(release_text(lock.suite, lock.arch, index))
        return repository

    async def _fetch(self, lock: Lock, packages: Sequence[LockedPackage], workspace: Path, log: StepLog) -> int:
        cache = DebCache(self.settings.home)
        missing = cache.missing(packages)
        if not missing:
            return 0
        log.line(f"Downloading {len(missing)} of {len(packages)} packages.")
        mirrors = await find_mirrors(self.settings)
        root = AptRoot(self.settings.home, lock.suite, lock.arch)
        async with root.locked(exclusive=True):
            await root.prepare(mirrors)
        return await cache.fetch(packages, (root, mirrors), workspace, log)

    def _require_space(self, lock: Lock, kind: LayerKind) -> None:
        tree = _tree_bytes(lock, kind)
        debs = sum(p.bytes for p in DebCache(self.settings.home).missing(lock.everything))
        on_disk = 0 if scratch_memory(tree) is not None else tree
        require_disk(self.settings.home, int(tree * _PACKED_SHARE) + debs + on_disk, f"The {kind} layer")


def configured(recipe: Recipe) -> dict[str, object]:
    """What of a recipe shows in an image. Its tests do not: a changed test needs no new image."""
    return recipe.model_dump(mode="json", by_alias=True, exclude={"tests"})


def _of_layer(lock: Lock, kind: LayerKind) -> tuple[LockedPackage, ...]:
    return lock.shared if kind == "base" else lock.packages


def _wanted_besides(lock: Lock, recipe: Recipe) -> tuple[str, ...]:
    """Name what the recipe asks for by name and the base layer has only because something else needs it."""
    asked = {*lock.wanted} - {*system_packages(recipe)}
    return tuple(_name(package) for package in lock.system if package.name in asked)


def _name(package: LockedPackage) -> str:
    return f"{package.name}:{package.arch}"


def _tree_bytes(lock: Lock, kind: LayerKind) -> int:
    packages = lock.shared if kind == "base" else lock.everything
    return sum(package.installed_kib for package in packages) * 1024 * 5 // 4 + _EXTRA_BYTES


def _expected(packages: Sequence[LockedPackage]) -> tuple[str, ...]:
    return tuple(f"{package.name}={package.version}" for package in packages)


def _placed(verdict: Verdict, recipe: Recipe) -> Verdict:
    """Point at the recipe's own line where a package is named that stands in it."""
    paths = paths_of(recipe)
    return Verdict(
        *(
            problem.model_copy(update={"path": paths[problem.value]})
            if problem.path is None and problem.value in paths
            else problem
            for problem in verdict.problems
        )
    )


def _summary(layer: Layer, lock: Lock) -> str:
    count = len(_of_layer(lock, layer.kind))
    packages = "" if layer.kind == "configuration" else f", {count} packages"
    return f"{layer.kind} layer {layer.key[:12]}{packages}, {layer.blob.bytes / 1e6:.1f} MB packed"
