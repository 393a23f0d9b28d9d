"""Content-addressed things that a build makes."""

from datetime import datetime
from typing import Final, Literal

from domain.model import Value

ArtifactKind = Literal["qcow2", "iso", "recipe", "report", "manifest", "log", "evidence"]
FileKind = Literal[ArtifactKind, "history"]
"""What can be downloaded of a build: what it made, and what was kept of the workflow that did."""
Verification = Literal["verified", "unverified"]
LayerKind = Literal["base", "package", "configuration"]
LOCK: Final = "lock.json"
"""The published file that says which packages exactly went into a build, for another one to take them again."""


class Blob(Value):
    """Bytes known by their digest. `digest` is SHA-256 as 64 hexadecimal digits."""

    digest: str
    bytes: int


class Layer(Value):
    """One packed root file system, known by what went into it.

    It is a whole tar if there is nothing in `on`, else a difference to the whole one there.
    """

    kind: LayerKind
    key: str
    blob: Blob
    on: Blob | None = None

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """What has to be unpacked for the tree, in this order."""
        return (self.blob,) if self.on is None else (self.on, self.blob)


class Artifact(Value):
    """A file that a person can download.

    `verification` is about this very artifact: `verified` only if it was booted and every required
    assertion passed on it, else `unverified`; `method` says how it was checked and what came of it.
    """

    kind: ArtifactKind
    name: str
    blob: Blob
    verification: Verification = "unverified"
    method: str | None = None


class DownloadLink(Value):
    """A link that works for an hour without a key. `verification` is about this very artifact."""

    kind: str
    name: str
    bytes: int
    sha256: str
    verification: str
    method: str | None = None
    url: str
    expires_at: datetime
