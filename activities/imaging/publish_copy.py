"""One file into the object store, with the proof that it arrived: its digest, read back."""

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from activities.imaging.read_back import ReadBacks
from activities.imaging.store import LocalBlobStore
from activities.step_log import StepLog
from domain.artifacts import Artifact, Blob
from domain.errors import Fault, Verdict
from domain.keeping import RENEW_AFTER
from infra.ports import ObjectInfo, ObjectStore

_TRIES = 2


def object_key(blob: Blob) -> str:
    """Where a blob lies in the object store."""
    return f"blobs/{blob.digest}"


class Copier:
    """Copies files of together `total` bytes and tells how far it is: each is sent once and read once."""

    def __init__(
        self, store: LocalBlobStore, objects: ObjectStore, read_backs: ReadBacks, log: StepLog, total: int
    ) -> None:
        self._store = store
        self._objects = objects
        self._read_backs = read_backs
        self._log = log
        self._total = max(1, 2 * total)
        self._done = 0

    async def copy(self, artifact: Artifact, content_type: str) -> None:
        """Have the artifact in the object store.

        One that is there already is only read, and not even that if it has not been written since its
        digest was read back. Otherwise it is sent, and sent once more if other bytes come back.

        Raises:
            Fault: `artifact.corrupt` or `artifact.missing`.

        """
        begun = self._done
        there = await self._objects.stat(object_key(artifact.blob))
        usable = _is_usable(there, artifact)
        if usable and self._read_backs.hold(artifact.blob, there):
            self._log.line(f"{artifact.name} is in the object store, unchanged since its digest was read back.")
        elif usable and await self._reads_back(artifact, sent=begun):
            self._log.line(f"{artifact.name} is in the object store already; its digest was read back.")
        else:
            await self._send(artifact, content_type, begun)
        self._done = begun + 2 * artifact.blob.bytes

    async def _send(self, artifact: Artifact, content_type: str, begun: int) -> None:
        if not self._store.has(artifact.blob):
            raise Fault.because(
                "artifact.missing",
                f"{artifact.name} is neither on this host nor whole in the object store.",
                value=artifact.blob.digest,
                next="Retry; the file is made again when it cannot be had.",
            )
        for _ in range(_TRIES):
            self._tell(begun, f"sending {artifact.name}")
            await self._objects.put_file(object_key(artifact.blob), self._store.path(artifact.blob), content_type)
            if await self._reads_back(artifact, sent=begun + artifact.blob.bytes):
                self._log.line(f"{artifact.name} was sent, and its digest read back.")
                return
            self._log.line(f"{artifact.name} came back from the object store with another digest.")
        raise await self._corrupt(artifact)

    async def _reads_back(self, artifact: Artifact, *, sent: int) -> bool:
        hasher = hashlib.sha256()
        size = 0
        there = await self._objects.stat(object_key(artifact.blob))
        try:
            async for chunk in self._objects.stream(object_key(artifact.blob)):
                hasher.update(chunk)
                size += len(chunk)
                self._tell(sent + min(size, artifact.blob.bytes), f"reading {artifact.name} back")
        except Verdict:  # it went away between being seen and being read
            return False
        if hasher.hexdigest() != artifact.blob.digest:
            return False
        self._read_backs.note(artifact.blob, there)
        return True

    async def _corrupt(self, artifact: Artifact) -> Fault:
        path = self._store.path(artifact.blob)
        here = await asyncio.to_thread(_file_digest, path)
        if here == artifact.blob.digest:
            cause = f"{artifact.name} came back from the object store with another digest {_TRIES} times."
            advice = "Check the object store and the way to it, then retry."
        else:
            cause = f"{artifact.name} no longer has its digest on this host: the file was damaged."
            advice = f"Check the disk, remove {path} so that it is made again, then retry."
        return Fault.because("artifact.corrupt", cause, path=artifact.name, value=artifact.blob.digest, next=advice)

    def _tell(self, done: int, text: str) -> None:
        self._log.progress(min(100.0, 100.0 * done / self._total), text)


def _is_usable(there: ObjectInfo | None, artifact: Artifact) -> bool:
    """Tell whether an object can be taken up. An old one may be removed at any moment unless it is written anew."""
    if there is None or there.bytes != artifact.blob.bytes:
        return False
    return datetime.now(UTC) - there.modified < RENEW_AFTER


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
