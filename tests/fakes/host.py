"""A host whose effects are instant: the same activity names, results made of the input, faults on request."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.imaging import models as imaging
from activities.machines import models as machines
from activities.machines.vm_models import HoldHost, HostCapacity, HostLeft
from activities.verification import models as verification
from domain.artifacts import Artifact, Blob, Layer
from domain.canonical import digest
from domain.errors import FactoryError
from domain.verification import AssertionResult, Bootable, BootReport, VerificationReport

QUEUE = "host:fake"


@dataclass
class FakeHost:
    """Counts what was asked; `failures[name]` are raised in turn.

    `hold` names an activity that does not end before `let_go` is set or another one is named; then it may fail.
    """

    failures: dict[str, list[FactoryError]] = field(default_factory=dict[str, list[FactoryError]])
    hold: str = ""
    failing_assertion: bool = False
    missing: frozenset[str] = frozenset()
    calls: Counter[str] = field(default_factory=Counter[str])
    machines_up: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def _enter(self, name: str) -> None:
        self.calls[name] += 1
        if self.hold == name:
            self.held.set()
            while self.hold == name and not self.let_go.is_set():
                activity.heartbeat()
                await asyncio.sleep(0.05)
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    def steps(self) -> list[Callable[..., Any]]:
        """Return what is done on the queue of the host that was chosen, for a worker."""
        return [
            self.hold_host,
            self.survey_host,
            self.resolve_recipe,
            self.fetch_packages,
            self.copy_images,
            self.build_base_layer,
            self.build_package_layer,
            self.build_configuration_layer,
            self.assemble_artifacts,
            self.boot_artifacts,
            self.verify_machines,
            self.name_evidence,
            self.capture_evidence,
            self.release_machines,
            self.publish_artifacts,
        ]

    def capacity(self, builds: int) -> HostCapacity:
        """What the host tells the fleet: it has no room for machines."""
        return HostCapacity(host="fake", queue=QUEUE, memory=0, cpus=0, disk=0, accelerator="tcg", builds=builds)

    @activity.defn
    async def hold_host(self, request: HoldHost) -> HostLeft:
        """Be there until the worker ends."""
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.2)

    @activity.defn
    async def survey_host(self, request: imaging.SurveyInput) -> imaging.SurveyResult:
        """Take every job."""
        await self._enter("survey_host")
        missing = tuple(b.digest for b in request.needs if b.digest in self.missing)
        return imaging.SurveyResult(host="fake", queue=QUEUE, missing=missing)

    @activity.defn
    async def resolve_recipe(self, request: imaging.ResolveInput) -> imaging.ResolveResult:
        """Solve to a lock named by the recipe."""
        await self._enter("resolve_recipe")
        return imaging.ResolveResult(
            lock=_blob("lock", _built(request.recipe)), packages=3, download_bytes=4, image_bytes=5, index="today"
        )

    @activity.defn
    async def fetch_packages(self, request: imaging.FetchInput) -> imaging.FetchResult:
        """Fetch nothing, but count."""
        await self._enter("fetch_packages")
        return imaging.FetchResult(files=0)

    @activity.defn
    async def copy_images(self, request: imaging.CopyInput) -> imaging.CopyResult:
        """Copy nothing, but count."""
        await self._enter("copy_images")
        return imaging.CopyResult()

    @activity.defn
    async def build_base_layer(self, request: imaging.LayerInput) -> imaging.LayerResult:
        """Make a base layer."""
        return await self._layer("build_base_layer", request)

    @activity.defn
    async def build_package_layer(self, request: imaging.LayerInput) -> imaging.LayerResult:
        """Make a package layer."""
        return await self._layer("build_package_layer", request)

    @activity.defn
    async def build_configuration_layer(self, request: imaging.LayerInput) -> imaging.LayerResult:
        """Make a configuration layer."""
        return await self._layer("build_configuration_layer", request)

    async def _layer(self, name: str, request: imaging.LayerInput) -> imaging.LayerResult:
        await self._enter(name)
        kind = name.removeprefix("build_").removesuffix("_layer")
        parent = None if request.parent is None else request.parent.key
        key = digest([name, _built(request.recipe), request.lock.digest, parent])
        layer = Layer.model_validate({"kind": kind, "key": key, "blob": _blob(name, key).model_dump()})
        return imaging.LayerResult(layer=layer, cached=False, summary=f"{kind} layer")

    @activity.defn
    async def assemble_artifacts(self, request: imaging.AssembleInput) -> imaging.AssembleResult:
        """Make both artifacts."""
        await self._enter("assemble_artifacts")
        made = tuple(
            Artifact.model_validate({"kind": k, "name": f"x.{k}", "blob": _blob(k, request.layer.key).model_dump()})
            for k in ("qcow2", "iso")
        )
        return imaging.AssembleResult(artifacts=made, cached=False, summary="two artifacts")

    @activity.defn
    async def boot_artifacts(self, request: machines.BootInput) -> machines.BootResult:
        """Boot both."""
        self.machines_up = len(request.artifacts)
        await self._enter("boot_artifacts")
        return machines.BootResult(
            reports=tuple(
                BootReport.model_validate(
                    {
                        "artifact": a.kind,
                        "firmware": "uefi" if a.kind == "qcow2" else "bios",
                        "accelerator": "tcg",
                        "booted": True,
                        "seconds": 1.0,
                    }
                )
                for a in request.artifacts
            )
        )

    @activity.defn
    async def verify_machines(self, request: verification.VerifyInput) -> verification.VerifyResult:
        """Check both; one assertion fails when asked to."""
        await self._enter("verify_machines")
        return verification.VerifyResult(
            reports=tuple(
                VerificationReport(
                    artifact=b.artifact,
                    firmware=b.firmware,
                    accelerator=b.accelerator,
                    boot_seconds=b.seconds,
                    evidence=_evidence(request.recipe, request.images).get(b.artifact),
                    results=(
                        AssertionResult(
                            suite="boot",
                            description="no failed units",
                            type="no_failed_units",
                            passed=not (self.failing_assertion and b.artifact == "qcow2"),
                            expected="none",
                            found="setup.service" if self.failing_assertion else "none",
                        ),
                    ),
                )
                for b in request.boots
            )
        )

    @activity.defn
    async def name_evidence(self, request: verification.NameEvidence) -> verification.EvidenceNames:
        """Name evidence by the image and the recipe's tests."""
        await self._enter("name_evidence")
        return verification.EvidenceNames(names=_evidence(request.recipe, request.images))

    @activity.defn
    async def capture_evidence(self, request: machines.CaptureInput) -> machines.CaptureResult:
        """Keep nothing, but count."""
        await self._enter("capture_evidence")
        return machines.CaptureResult(keys=tuple(f"evidence/{a}" for a in request.artifacts))

    @activity.defn
    async def release_machines(self, request: machines.ReleaseInput) -> machines.ReleaseResult:
        """Give the machines back."""
        await self._enter("release_machines")
        up, self.machines_up = self.machines_up, 0
        return machines.ReleaseResult(machines=up)

    @activity.defn
    async def publish_artifacts(self, request: imaging.PublishInput) -> imaging.PublishResult:
        """Publish what came."""
        await self._enter("publish_artifacts")
        return imaging.PublishResult(artifacts=request.artifacts)


def _built(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe decides the bytes: its tests do not."""
    return {key: value for key, value in recipe.items() if key != "tests"}


def _evidence(recipe: dict[str, Any], images: tuple[Artifact, ...]) -> dict[Bootable, str]:
    """Only the disk image is due the recipe's own tests, as in the real verifier."""
    names: dict[Bootable, str] = {}
    for image in images:
        if image.kind in ("qcow2", "iso"):
            own = recipe.get("tests") if image.kind == "qcow2" else None
            names[image.kind] = digest([image.blob.digest, own])
    return names


def _blob(*parts: object) -> Blob:
    return Blob(digest=digest([str(p) for p in parts]), bytes=10)
