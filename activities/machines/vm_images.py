"""The images that VMs run on: in this host's store, fetched by digest, and looked at before QEMU opens one.

An image may come from anybody. A qcow2 can name other files of the host as its own content; such a one is
refused. `qemu-img` only reads its header here, under limits, and is told the format instead of guessing.
"""

import asyncio
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from activities.machines.host_limits import require_disk
from domain.errors import Fault, Verdict
from domain.vm.spec import ImageRef
from infra.libvirt_paths import LibvirtPaths
from infra.ports import ObjectStore
from infra.process import CommandError, run

LARGEST_DISK = 2 << 40
_PARTIAL = ".fetch-"
_MIB = 1 << 20
_INFO_SECONDS = 30.0
_INFO_LIMITS = ("prlimit", f"--as={1 << 30}", "--cpu=20", "--")


class BaseImages:
    """The store of this host as VMs use it: a blob is whole, read-only and named by its SHA-256."""

    def __init__(self, paths: LibvirtPaths, objects: ObjectStore) -> None:
        self._paths = paths
        self._objects = objects
        self._turns: dict[str, asyncio.Lock] = {}
        self._virtual: dict[str, int] = {}
        self._partial: set[str] = set()

    async def ensure(self, image: ImageRef) -> bool:
        """Have the image in the store; answers whether it had to be fetched.

        Who asks for an image that is being fetched waits for that.

        Raises:
            Verdict: `image.not_found`, `image.hostile` or `image.not_bootable`.
            Fault: `host.disk`, `blob.corrupt` or `objects.unavailable`.

        """
        async with self._turns.setdefault(image.digest, asyncio.Lock()):
            target = self._paths.blob(image.digest)
            fetched = not target.is_file()
            if fetched:
                await self._fetch(image, target)
            else:
                os.utime(target)  # it counts as used now, and goes later than others
            await self.virtual_size(image)
            return fetched

    async def virtual_size(self, image: ImageRef) -> int:
        """The size of the image's disk in bytes, as a guest sees it; raises like `ensure` for a hostile one."""
        if image.digest not in self._virtual:
            path = self._paths.blob(image.digest)
            self._virtual[image.digest] = await _look(path) if image.format == "qcow2" else path.stat().st_size
        return self._virtual[image.digest]

    def clear_partial(self) -> int:
        """Remove what fetches of a killed worker left; answers how many there were."""
        partial = tuple(p for p in self._paths.store.glob(f"*/{_PARTIAL}*") if str(p) not in self._partial)
        for path in partial:
            path.unlink(missing_ok=True)
        return len(partial)

    async def _fetch(self, image: ImageRef, target: Path) -> None:
        require_disk(self._paths.store, -(-image.bytes // _MIB), "the image")
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._partial_file(target.parent) as file, _disk_errors():
            digest = await self._receive(image, file)
            if digest != image.digest:
                raise Fault.because(
                    "blob.corrupt",
                    f"the object store gave {digest} for the image {image.digest}",
                    next="Retry; if it stays so, build or upload the image again.",
                )
            await asyncio.to_thread(_publish, file, target)

    @contextmanager
    def _partial_file(self, folder: Path) -> Generator[IO[bytes]]:
        """Open a temporary file that is gone afterwards unless it was renamed."""
        with tempfile.NamedTemporaryFile(prefix=_PARTIAL, dir=folder, delete=False) as file:
            self._partial.add(file.name)
            try:
                yield file
            finally:
                Path(file.name).unlink(missing_ok=True)
                self._partial.discard(file.name)

    async def _receive(self, image: ImageRef, file: IO[bytes]) -> str:
        hasher, received = hashlib.sha256(), 0

        def take(chunk: bytes) -> None:
            hasher.update(chunk)
            file.write(chunk)

        try:
            async for chunk in self._objects.stream(f"blobs/{image.digest}"):
                received += len(chunk)
                if received > image.bytes:
                    break
                await asyncio.to_thread(take, chunk)
        except Verdict as error:
            raise Verdict.because(
                "image.not_found",
                f"the image {image.digest} is not in the object store any more",
                value=image.source_id,
                next="Build or upload it again.",
            ) from error
        return hasher.hexdigest() if received == image.bytes else f"{received} bytes instead of {image.bytes}"


@contextmanager
def _disk_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Fault.because(
            "host.disk", "the host's disk filled up while an image was fetched", next="Free disk space, then retry."
        ) from error


def _publish(file: IO[bytes], target: Path) -> None:
    """Give the complete file its name in one step, so that a crash leaves a whole blob or none (rename(2))."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())
    Path(file.name).replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def header(path: Path) -> dict[str, Any]:
    """What a qcow2 says of itself, read without opening what it refers to.

    Raises:
        CommandError: it is no qcow2.

    """
    argv = [*_INFO_LIMITS, "qemu-img", "info", "-U", "-f", "qcow2", "--output=json", str(path)]
    found: dict[str, Any] = json.loads((await run(argv, timeout=_INFO_SECONDS)).stdout)
    return found


async def _look(path: Path) -> int:
    try:
        facts = await header(path)
    except CommandError as error:
        raise Verdict.because(
            "image.not_bootable", f"it is no qcow2: {error.problems[0].message}", next="Upload a qcow2 or an ISO."
        ) from error
    data: dict[str, Any] = facts.get("format-specific", {}).get("data", {})
    foreign = facts.get("backing-filename") or data.get("data-file")
    if foreign or data.get("data-file-raw") or facts.get("encrypted"):
        raise _hostile("it refers to another file or is encrypted")
    virtual = int(facts["virtual-size"])
    if virtual > LARGEST_DISK:
        raise _hostile(f"its disk claims {virtual} bytes, more than {LARGEST_DISK}")
    return virtual


def _hostile(why: str) -> Verdict:
    return Verdict.because(
        "image.hostile",
        f"the image cannot be used: {why}",
        next="Flatten it with `qemu-img convert -O qcow2`, then upload that.",
    )
