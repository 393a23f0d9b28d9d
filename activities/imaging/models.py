"""What the imaging activities take and give. Frozen values only: workflows import this module."""

from typing import Any

from activities.job import Job
from domain.artifacts import Artifact, Blob, Layer
from domain.build.compare import PackageChange
from domain.errors import Problem
from domain.model import Value


class SurveyInput(Value):
    """Asks any host whether it can take the job; `needs` are blobs of finished steps."""

    job: Job
    needs: tuple[Blob, ...] = ()


class SurveyResult(Value):
    """The host that took the job, its own task queue, and the digests of `needs` it cannot get."""

    host: str
    queue: str
    missing: tuple[str, ...] = ()


class ResolveInput(Value):
    """A canonical recipe to be solved into exact packages, or to have those of an earlier build's `lock` again."""

    job: Job
    recipe: dict[str, Any]
    lock: Blob | None = None


class ResolveResult(Value):
    """The solved recipe. `lock` is the blob of a canonical JSON document (see `lock.py`).

    `image_bytes` estimates the unpacked root file system.
    """

    lock: Blob
    packages: int
    download_bytes: int
    image_bytes: int
    index: str


class LayerInput(Value):
    """One layer to make from the lock, on `parent` (nothing for the base layer)."""

    job: Job
    recipe: dict[str, Any]
    lock: Blob
    parent: Layer | None = None


class LayerResult(Value):
    """The layer; `cached` if one with the same key was there already."""

    layer: Layer
    cached: bool
    summary: str


class FetchInput(Value):
    """The packages of a lock, to be here before the package layer asks for them."""

    job: Job
    lock: Blob


class FetchResult(Value):
    """How many files were downloaded."""

    files: int


class AssembleInput(Value):
    """The last layer to be made into bootable files."""

    job: Job
    recipe: dict[str, Any]
    lock: Blob
    layer: Layer


class AssembleResult(Value):
    """Bootable artifacts (`qcow2`, `iso`) in the host's store, not yet verified."""

    artifacts: tuple[Artifact, ...]
    cached: bool
    summary: str


class CopyInput(Value):
    """Finished images to be in the object store by the time they are published."""

    job: Job
    images: tuple[Artifact, ...]


class CopyResult(Value):
    """The images are there, and their digests were read back."""


class PublishInput(Value):
    """Artifacts to copy to the object store, and the evidence to write beside them."""

    job: Job
    recipe: dict[str, Any]
    lock: Blob
    artifacts: tuple[Artifact, ...]
    reports: tuple[dict[str, Any], ...]
    problems: tuple[dict[str, Any], ...] = ()


class PublishResult(Value):
    """All artifacts of the build, each read back from the object store with the right digest."""

    artifacts: tuple[Artifact, ...]


class CheckInput(Value):
    """A canonical recipe to be checked against the package index."""

    recipe: dict[str, Any]


class CheckResult(Value):
    """Everything wrong with the recipe; nothing if it can be built."""

    problems: tuple[Problem, ...]


class CompareInput(Value):
    """A canonical recipe, and the SHA-256 of the list of packages that a build of it had (nothing: no build yet)."""

    recipe: dict[str, Any]
    manifest: str | None = None


class CompareResult(Value):
    """What the recipe is solved into today, against then.

    `packages` digests today's packages, `total` counts them; `changed` counts all changes, of which `changes` are
    the first. With `problems` it cannot be solved. If the list is `gone`, all of today's packages count as changed.
    """

    packages: str = ""
    total: int = 0
    changed: int = 0
    changes: tuple[PackageChange, ...] = ()
    gone: bool = False
    problems: tuple[Problem, ...] = ()
