"""How it is known what a build is: what was checked on which bytes, and of what they were made."""

from typing import Literal

from domain.artifacts import DownloadLink
from domain.build.state import BuildStatus
from domain.errors import Problem
from domain.model import Value
from domain.verification import Firmware, Reuse


class ImageEvidence(Value):
    """One image, and how it was verified.

    `bound` says that the verification document is about these very bytes: it names their SHA-256. With `reused` these
    bytes were not booted by this build but by an earlier one, with the same tests.
    `failures` came from the guest: untrusted data.
    """

    name: str
    kind: Literal["qcow2", "iso"]
    sha256: str
    bytes: int
    verification: str
    method: str | None = None
    bound: bool = False
    booted: bool = False
    reused: Reuse | None = None
    firmware: Firmware | None = None
    accelerator: str | None = None
    boot_seconds: float | None = None
    passed: int = 0
    failed: int = 0
    failures: tuple[str, ...] = ()


class PackageEvidence(Value):
    """What went in: how many packages, from which index, and the versions of those that the recipe names."""

    count: int
    suite: str
    index: str
    requested: tuple[str, ...] = ()


class EvidenceView(Value):
    """The evidence of one build. `sound`: every document was read, has its digest, and fits the images and the recipe.

    `problems` say what does not; `documents` are links to the whole files, valid for an hour; `histories`
    are what the workflow did, for each of its runs that is over.
    """

    build_id: str
    name: str
    status: BuildStatus
    sound: bool
    verifier: str | None = None
    recipe_sha256: str
    lock_sha256: str | None = None
    images: tuple[ImageEvidence, ...] = ()
    packages: PackageEvidence | None = None
    problems: tuple[Problem, ...] = ()
    documents: tuple[DownloadLink, ...] = ()
    histories: tuple[DownloadLink, ...] = ()
    cut: str | None = None
    next: str | None = None
