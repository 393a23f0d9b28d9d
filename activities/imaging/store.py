"""The host's content-addressed store, and the index of finished layers beside it.

Both are plain files below the factory's home. A blob appears under its name by one rename of a
complete, synced, read-only file, so a crash leaves a whole blob or none; whoever finds one may use
it without asking.
"""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from domain.artifacts import Blob, Layer
from domain.errors import Fault

_CHUNK = 1 << 20
_READ_ONLY = 0o444
_PARTIAL = ".new-"
_ATOMICALLY = ("store", "layers", "assemblies", "solutions", "cache/apt")


class LocalBlobStore:
    """Blobs at `<home>/store/<first two hex digits>/<digest>`, mode 0444 (`ports.BlobStore`)."""

    def __init__(self, home: Path) -> None:
        self._root = home / "store"

    def path(self, blob: Blob) -> Path:
        """Where the blob is, or would be."""
        return self._root / blob.digest[:2] / blob.digest

    def has(self, blob: Blob) -> bool:
        """Whether the blob is here with its full size. Who looks for one wants it: it counts as used now."""
        path = self.path(blob)
        try:
            whole = path.stat().st_size == blob.bytes
            if whole:
                os.utime(path)
        except OSError:
            return False
        return whole

    async def adopt(self, source: Path) -> Blob:
        """Move `source` into the store; it must be on the same file system (a workspace is).

        Adopting bytes that are there already only removes `source`, so a repeat is harmless and two
        who adopt the same bytes at once both succeed.

        Raises:
            Fault: `store.unwritable`, when the file cannot be read, synced or moved.

        """
        return await asyncio.to_thread(self._adopt, source)

    async def add(self, data: bytes) -> Blob:
        """Store a small document; adding the same again is harmless."""
        return await asyncio.to_thread(self._add, data)

    def _adopt(self, source: Path) -> Blob:
        try:
            blob = _digest_and_sync(source)
            if self.has(blob):
                source.unlink()
                return blob
            source.chmod(_READ_ONLY)
            target = self.path(blob)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise _unwritable(source, error) from error
        return blob

    def _add(self, data: bytes) -> Blob:
        blob = Blob(digest=hashlib.sha256(data).hexdigest(), bytes=len(data))
        if not self.has(blob):
            write_atomically(self.path(blob), data, mode=_READ_ONLY)
        return blob


class LayerIndex:
    """Which layer a key has, at `<home>/layers/<key>.json`. It is a cache: any file may be removed."""

    def __init__(self, home: Path, store: LocalBlobStore) -> None:
        self._root = home / "layers"
        self._store = store

    def find(self, key: str) -> Layer | None:
        """The layer with this key; nothing if its record is unreadable or its blob missing or short."""
        try:
            layer = Layer.model_validate_json((self._root / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None
        return layer if layer.key == key and all(map(self._store.has, layer.blobs)) else None

    def record(self, layer: Layer) -> None:
        """Remember a finished layer. Recording it again, by anyone, is harmless."""
        write_atomically(self._root / f"{layer.key}.json", layer.model_dump_json().encode())


def write_atomically(target: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a whole file or nothing, also when two write it at once.

    Raises:
        Fault: `store.unwritable`.

    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error


def sweep_partial(home: Path) -> int:
    """Remove files that dead workers had begun to write; answers how many. Whoever writes one now only tries again."""
    partial = [path for folder in _ATOMICALLY for path in (home / folder).rglob(f"{_PARTIAL}*")]
    for path in partial:
        path.unlink(missing_ok=True)
    return len(partial)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest_and_sync(path: Path) -> Blob:
    hasher = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
            size += len(chunk)
        os.fsync(file.fileno())
    return Blob(digest=hasher.hexdigest(), bytes=size)


def _unwritable(path: Path, error: OSError) -> Fault:
    return Fault.because(
        "store.unwritable",
        f"{path} could not be stored: {error.strerror or error}",
        path=str(path),
        next="Check that the data folder's disk is mounted, writable and not full, then retry.",
    )
