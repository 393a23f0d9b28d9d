"""Takes in an uploaded image: its parts become one blob, after everything that was said of it is proven.

An image is hostile input: a qcow2 may name any file of the host as its backing file, and one that is small
may claim a disk of exabytes. It is looked at by qemu-img, which only reads its header.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from activities.imaging.disk_space import require_disk
from activities.imaging.import_models import ImportInput, ImportResult
from activities.imaging.store import LocalBlobStore
from activities.imaging.workspace import open_workspace
from domain.errors import Fault, Verdict
from domain.keeping import RENEW_AFTER
from infra.ports import ObjectInfo, ObjectStore
from infra.process import CommandError, run
from infra.uploads import parts_prefix

LARGEST_DISK = 2 << 40
_INFO_SECONDS = 30.0
_ISO_MAGIC_AT = 0x8001  # ECMA-119, 8.1: the first volume descriptor is in sector 16
_PAGE = 1000


class ImageImporter:
    """Imports uploads on this host (`ports.Importer`)."""

    def __init__(self, home: Path, store: LocalBlobStore, objects: ObjectStore) -> None:
        self._home = home
        self._store = store
        self._objects = objects

    async def take(self, request: ImportInput, progress: Callable[[float, str], None]) -> ImportResult:
        """Put the parts together, check digest and content, store the blob; a repeat does the same again.

        Raises:
            Verdict: `image.digest_mismatch`, `image.size_mismatch`, `image.not_bootable` or `image.hostile`.
            Fault: `disk.full`, `objects.unavailable` or `store.unwritable`.

        """
        wanted = request.request
        require_disk(self._home, wanted.bytes, "the uploaded image")
        async with open_workspace(self._home, wanted.image_id, "import") as work:
            file = work / "image"
            await self._joined(request, file, progress)
            virtual = await self._look(file, wanted.format)
            progress(60, "storing the image")
            key = f"blobs/{wanted.sha256}"
            known = await self._objects.stat(key)
            if known is None or known.bytes != wanted.bytes or datetime.now(UTC) - known.modified > RENEW_AFTER:
                await self._objects.put_file(key, file)
            await self._store.adopt(file)
        return ImportResult(virtual_bytes=virtual)

    async def discard(self, image_id: str) -> int:
        """Remove the parts of an upload; answers how many there were. Harmless to repeat."""
        parts = await self._parts(image_id)
        for part in parts:
            await self._objects.delete(part.key)
        return len(parts)

    async def _parts(self, image_id: str) -> list[ObjectInfo]:
        found: list[ObjectInfo] = []
        while True:
            after = found[-1].key if found else ""
            page = await self._objects.list(parts_prefix(image_id), after=after, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found

    async def _joined(self, request: ImportInput, file: Path, progress: Callable[[float, str], None]) -> None:
        """Join the parts and check them. Wrong bytes are read once more: only what stays the same was sent like this.

        Raises:
            Verdict: `image.size_mismatch` or `image.digest_mismatch`.
            Fault: `image.unreadable`, when the object store answers differently each time.

        """
        wanted = (request.request.bytes, request.request.sha256)
        first = await self._join(request, file, progress)
        if first == wanted:
            return
        second = await self._join(request, file, progress)
        if second == wanted:
            return
        if second != first:
            raise Fault.because(
                "image.unreadable",
                "the object store gives other bytes each time the upload is read",
                next="Look at the object store; the import is tried again by itself.",
            )
        size, digest = second
        if size != wanted[0]:
            raise _rejected("image.size_mismatch", f"{size} bytes came, {wanted[0]} were announced", "bytes")
        raise _rejected("image.digest_mismatch", f"the bytes have the SHA-256 {digest}", "sha256")

    async def _join(self, request: ImportInput, file: Path, progress: Callable[[float, str], None]) -> tuple[int, str]:
        """Write the parts into one file; answers its size and SHA-256."""
        wanted, seen, size = request.request, hashlib.sha256(), 0
        with file.open("wb") as target:
            for part in await self._parts(wanted.image_id):
                async for chunk in self._objects.stream(part.key):
                    seen.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
                progress(50 * size / wanted.bytes, "reading the upload")
        return size, seen.hexdigest()

    async def _look(self, file: Path, kind: str) -> int:
        """Make sure that it is what it is said to be, and answer the size of its disk for a guest, in bytes."""
        if kind == "iso":
            return _iso_size(file)
        try:
            info = await run(["qemu-img", "info", "-f", "qcow2", "--output=json", str(file)], timeout=_INFO_SECONDS)
        except CommandError as error:
            raise _rejected("image.not_bootable", f"it is no qcow2: {error.problems[0].message}", "format") from error
        facts = json.loads(info.stdout)
        data = facts.get("format-specific", {}).get("data", {})
        if facts.get("backing-filename") or data.get("data-file"):
            raise _rejected("image.hostile", "the image refers to another file", "format")
        virtual = int(facts["virtual-size"])
        if virtual > LARGEST_DISK:
            raise _rejected("image.hostile", f"its disk claims {virtual} bytes, more than {LARGEST_DISK}", "bytes")
        return virtual


def _iso_size(file: Path) -> int:
    with file.open("rb") as image:
        image.seek(_ISO_MAGIC_AT)
        magic = image.read(5)
    if magic != b"CD001":
        raise _rejected("image.not_bootable", "it is no ISO 9660 image", "format")
    return file.stat().st_size


def _rejected(code: str, message: str, path: str) -> Verdict:
    advice = "Check the file, its size and its SHA-256, then call create_image_upload again."
    return Verdict.because(code, message, path=path, next=advice)
