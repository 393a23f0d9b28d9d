"""The effects of image building, as the activity class needs them."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from activities.imaging.import_models import ImportInput, ImportResult
from activities.imaging.models import (
    AssembleInput,
    AssembleResult,
    CompareInput,
    CompareResult,
    FetchInput,
    FetchResult,
    LayerInput,
    LayerResult,
    PublishInput,
    PublishResult,
    ResolveInput,
    ResolveResult,
)
from activities.step_log import StepLog
from domain.artifacts import Artifact, Blob, LayerKind
from domain.errors import Problem


class BlobStore(Protocol):
    """The host's content-addressed store. A blob is a read-only file named by its SHA-256."""

    def path(self, blob: Blob) -> Path:
        """Where the blob is, or would be."""
        ...

    def has(self, blob: Blob) -> bool:
        """Whether the blob is here with its full size."""
        ...

    async def adopt(self, source: Path) -> Blob:
        """Move a finished file into the store under its digest; adopting the same bytes again is harmless."""
        ...

    async def add(self, data: bytes) -> Blob:
        """Store a small document."""
        ...


class Resolver(Protocol):
    """Turns package names into exact versions and digests."""

    async def resolve(self, request: ResolveInput, log: StepLog) -> ResolveResult:
        """Solve the recipe's packages and store the lock.

        Raises `Verdict` with every unknown or conflicting package, or `Fault` when a mirror fails.
        """
        ...

    async def check(self, recipe: dict[str, object], log: StepLog) -> tuple[Problem, ...]:
        """Name everything wrong with the recipe's packages, services and sizes without downloading a package."""
        ...


class Comparer(Protocol):
    """Tells which packages of a recipe have updates."""

    async def compare(self, request: CompareInput, log: StepLog) -> CompareResult:
        """Solve the recipe without downloading a package, and compare. Raises `Fault` when a mirror fails."""
        ...


class LayerBuilder(Protocol):
    """Makes the three layers; a layer with the same key is adopted, not made again."""

    async def build(self, request: LayerInput, kind: LayerKind, log: StepLog) -> LayerResult:
        """Make the layer of this `kind` on its parent."""
        ...

    async def fetch(self, request: FetchInput, log: StepLog) -> FetchResult:
        """Download the packages that the package layer will need, while the base layer is made."""
        ...


class Assembler(Protocol):
    """Makes bootable files of a root file system."""

    async def assemble(self, request: AssembleInput, log: StepLog) -> AssembleResult:
        """Make the qcow2 disk image and the hybrid ISO."""
        ...


class Publisher(Protocol):
    """Copies finished artifacts to the object store with their evidence."""

    async def publish(self, request: PublishInput, log: StepLog) -> PublishResult:
        """Upload what is not there yet and read every digest back."""
        ...

    async def copy_images(self, images: tuple[Artifact, ...], log: StepLog) -> None:
        """Do that for images whose tests still run, so that publishing finds them there."""
        ...


class Importer(Protocol):
    """Makes blobs of uploads."""

    async def take(self, request: ImportInput, progress: Callable[[float, str], None]) -> ImportResult:
        """Check the upload and store it; raises `Verdict` (`image.…`) for one that cannot be used."""
        ...

    async def discard(self, image_id: str) -> int:
        """Remove the parts of an upload; harmless to repeat."""
        ...


class HostRoom(Protocol):
    """Whether this host's disk has room for new work."""

    async def require(self) -> None:
        """Make room if there is little; raises `Fault` (`disk.low`) if that is not enough."""
        ...
