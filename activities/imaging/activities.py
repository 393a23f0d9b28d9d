"""The imaging activities: thin, each one effect inside a step's frame."""

from dataclasses import dataclass
from typing import Protocol

from temporalio import activity

from activities.imaging.import_models import DiscardInput, DiscardResult, ImportInput, ImportResult
from activities.imaging.models import (
    AssembleInput,
    AssembleResult,
    CheckInput,
    CheckResult,
    CompareInput,
    CompareResult,
    CopyInput,
    CopyResult,
    FetchInput,
    FetchResult,
    LayerInput,
    LayerResult,
    PublishInput,
    PublishResult,
    ResolveInput,
    ResolveResult,
    SurveyInput,
    SurveyResult,
)
from activities.imaging.ports import (
    Assembler,
    BlobStore,
    Comparer,
    HostRoom,
    Importer,
    LayerBuilder,
    Publisher,
    Resolver,
)
from activities.session import StepSessions, heartbeats
from activities.step_log import StepLog
from domain.artifacts import LayerKind
from domain.build.steps import StepName

_STEP_OF: dict[LayerKind, StepName] = {
    "base": "base_layer",
    "package": "package_layer",
    "configuration": "configuration_layer",
}


class HostIdentity(Protocol):
    """The host as workflows address it."""

    host: str
    queue: str


@dataclass(frozen=True)
class ImagingActivities:
    """Recipe to published images, on one host."""

    identity: HostIdentity
    sessions: StepSessions
    store: BlobStore
    resolver: Resolver
    layers: LayerBuilder
    assembler: Assembler
    publisher: Publisher
    importer: Importer
    room: HostRoom
    comparer: Comparer

    @activity.defn
    async def survey_host(self, request: SurveyInput) -> SurveyResult:
        """Take a job, and say which of the blobs it needs are not here.

        Raises:
            Fault: `disk.low`: another host may have room.

        """
        async with heartbeats():  # making room takes as long as it takes
            await self.room.require()
        missing = tuple(blob.digest for blob in request.needs if not self.store.has(blob))
        return SurveyResult(host=self.identity.host, queue=self.identity.queue, missing=missing)

    @activity.defn
    async def check_recipe(self, request: CheckInput) -> CheckResult:
        """Solve a recipe's packages without building it; every problem is in the answer."""
        async with heartbeats():
            return CheckResult(problems=await self.resolver.check(request.recipe, _Unlogged()))

    @activity.defn
    async def compare_packages(self, request: CompareInput) -> CompareResult:
        """Solve a recipe's packages, and say what changed since a build."""
        async with heartbeats():
            return await self.comparer.compare(request, _Unlogged())

    @activity.defn
    async def resolve_recipe(self, request: ResolveInput) -> ResolveResult:
        """Solve the recipe into exact packages."""
        async with self.sessions.open(request.job, "resolve") as log:
            return await self.resolver.resolve(request, log)

    @activity.defn
    async def fetch_packages(self, request: FetchInput) -> FetchResult:
        """Download the package layer's packages beside another step."""
        async with self.sessions.open(request.job, "package_layer", part="packages") as log:
            return await self.layers.fetch(request, _LinesOnly(log))

    @activity.defn
    async def build_base_layer(self, request: LayerInput) -> LayerResult:
        """Make the distribution's base."""
        return await self._layer(request, "base")

    @activity.defn
    async def build_package_layer(self, request: LayerInput) -> LayerResult:
        """Install the recipe's packages on the base."""
        return await self._layer(request, "package")

    @activity.defn
    async def build_configuration_layer(self, request: LayerInput) -> LayerResult:
        """Apply users, services and scripts."""
        return await self._layer(request, "configuration")

    @activity.defn
    async def assemble_artifacts(self, request: AssembleInput) -> AssembleResult:
        """Make the disk image and the ISO."""
        async with self.sessions.open(request.job, "assemble") as log:
            return await self.assembler.assemble(request, log)

    @activity.defn
    async def copy_images(self, request: CopyInput) -> CopyResult:
        """Copy the images to the object store beside another step."""
        async with self.sessions.open(request.job, "publish", part="images") as log:
            await self.publisher.copy_images(request.images, _LinesOnly(log))
        return CopyResult()

    @activity.defn
    async def publish_artifacts(self, request: PublishInput) -> PublishResult:
        """Copy the artifacts and their evidence to the object store and read them back."""
        async with self.sessions.open(request.job, "publish") as log:
            return await self.publisher.publish(request, log)

    @activity.defn
    async def import_image(self, request: ImportInput) -> ImportResult:
        """Check an upload and make it a blob."""
        async with heartbeats():
            return await self.importer.take(request, _Unlogged().progress)

    @activity.defn
    async def discard_upload(self, request: DiscardInput) -> DiscardResult:
        """Remove the parts of an upload."""
        async with heartbeats():
            return DiscardResult(parts=await self.importer.discard(request.image_id))

    async def _layer(self, request: LayerInput, kind: LayerKind) -> LayerResult:
        async with self.sessions.open(request.job, _STEP_OF[kind]) as log:
            return await self.layers.build(request, kind, log)


class _Unlogged(StepLog):
    """A check belongs to no job, so what it says goes to the worker's own log."""

    def line(self, text: str) -> None:
        activity.logger.debug("%s", text)

    def progress(self, percent: float, text: str) -> None:
        activity.heartbeat(percent, text)


class _LinesOnly(StepLog):
    """The log of what runs beside a step: the progress that is shown is that step's."""

    def __init__(self, log: StepLog) -> None:
        self._log = log

    def line(self, text: str) -> None:
        self._log.line(text)

    def progress(self, percent: float, text: str) -> None:
        pass
