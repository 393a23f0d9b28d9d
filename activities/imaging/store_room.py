"""Room on a host: what was made or fetched long ago goes, before the disk is full.

Everything here can be had again: layers and images are made or fetched anew, package files are downloaded. A file
is touched whenever it is looked for, so the oldest is the one that nobody wanted for longest.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from activities.imaging.dead_records import dead_records
from domain.errors import Fault
from infra.settings import DiskSettings

_GIB = 1 << 30
_WATERMARK_SHARE = 10  # of a small disk only a tenth is kept free
_BUDGET_SHARE = 0.4
_FRESH_SECONDS = 6 * 3600.0  # longer than a build goes between two looks at a file it needs
_FRESH_WHEN_LOW = 3600.0
_DIGEST_LENGTH = 64
_UNWANTED = "not wanted for longest, and the store is over its budget or the disk is low"
_DEAD = "what it names is no longer in the store"
_DISKS = ("", "store", "s3", "postgres", "temporal", "tmp")


@dataclass(frozen=True)
class Item:
    """A file that may go: what it is, its size in bytes, when somebody last looked for it, and why it may."""

    kind: str
    path: Path
    bytes: int
    used: float
    reason: str = _UNWANTED


@dataclass(frozen=True)
class Evicted:
    """What went, or would go; and how many bytes stay."""

    items: tuple[Item, ...]
    kept_bytes: int


class StoreRoom:
    """The store and the package cache of one host. `in_use` tells the digests that machines have open here."""

    def __init__(self, home: Path, disk: DiskSettings, in_use: Callable[[], frozenset[str]]) -> None:
        self._home = home
        self._disk = disk
        self._in_use = in_use

    async def require(self) -> None:
        """Refuse new work below the watermark, after making what room there can be.

        Raises:
            Fault: `disk.low`, saying where, how much is free and what to do.

        """
        if self._lowest() is not None:
            await self.evict(dry_run=False)
        low = self._lowest()
        if low is not None:
            folder, free, wanted = low
            raise Fault.because(
                "disk.low",
                f"The disk of {folder} has {_gb(free)} left; below {_gb(wanted)} no new build is started. Builds that "
                "run go on.",
                path=str(folder),
                value=str(free),
                next="See what could go with `openfactory gc --dry-run`, delete builds and machines that are no longer "
                "needed (build-delete, vm delete) and run `openfactory gc`, which leaves what was stored in the last "
                "day; or enlarge the disk. Then retry the build.",
            )

    async def evict(self, *, dry_run: bool) -> Evicted:
        """Remove what was not wanted for longest until the budget is kept and the disk has room; safe to repeat.

        Records of what has gone go with it, also where nothing else must.
        """
        return await asyncio.to_thread(self._evict, dry_run)

    def _evict(self, dry_run: bool) -> Evicted:  # noqa: FBT001 - of a thread's call
        items = sorted(self._items(), key=lambda item: item.used)
        total = sum(item.bytes for item in items)
        low = self._lowest() is not None
        too_much = max(total - self._budget(), self._wanting() if low else 0)
        fresh = time.time() - (_FRESH_WHEN_LOW if low else _FRESH_SECONDS)
        in_use = self._in_use()
        gone: list[Item] = []
        for item in items:
            if too_much <= 0 or item.used > fresh:
                break
            if item.path.name in in_use or (not dry_run and not _removed(item, fresh)):
                continue
            gone.append(item)
            too_much -= item.bytes
        kept = total - sum(item.bytes for item in gone)
        return Evicted(items=(*gone, *self._dead(gone, fresh, dry_run=dry_run)), kept_bytes=kept)

    def _dead(self, gone: Iterable[Item], fresh: float, *, dry_run: bool) -> Iterable[Item]:
        """Remove what the indexes know of blobs that have gone."""
        for record in dead_records(self._home, frozenset(item.path.name for item in gone), fresh):
            item = Item("records of layers and images", record.path, record.bytes, record.written, _DEAD)
            if dry_run or _removed(item, fresh):
                yield item

    def _items(self) -> Iterable[Item]:
        yield from _files("package files", (self._home / "cache" / "debs").glob("*"))
        yield from _files("layers and images", (self._home / "store").glob("??/*"))

    def _budget(self) -> int:
        if self._disk.store_bytes is not None:
            return self._disk.store_bytes
        return int(shutil.disk_usage(_existing(self._home)).total * _BUDGET_SHARE)

    def _wanting(self) -> int:
        """How many bytes are missing until the store's disk has twice the watermark."""
        usage = shutil.disk_usage(_existing(self._home / "store"))
        return max(0, 2 * self._watermark(usage.total) - usage.free)

    def _watermark(self, total: int) -> int:
        if self._disk.watermark_bytes is not None:
            return self._disk.watermark_bytes
        return min(2 * _GIB, total // _WATERMARK_SHARE)

    def _lowest(self) -> tuple[Path, int, int] | None:
        """Find a disk of the home that is below its watermark: the folder, what is free, what should be."""
        for name in _DISKS:
            folder = self._home / name
            if folder.is_dir():
                usage = shutil.disk_usage(folder)
                if usage.free < (wanted := self._watermark(usage.total)):
                    return folder, usage.free, wanted
        return None


def _files(kind: str, paths: Iterable[Path]) -> Iterable[Item]:
    for path in paths:
        if len(path.name) != _DIGEST_LENGTH:
            continue  # a file that is just being written
        try:
            found = path.stat()
        except OSError:
            continue
        yield Item(kind=kind, path=path, bytes=found.st_size, used=found.st_mtime)


def _removed(item: Item, fresh: float) -> bool:
    """Remove a file unless somebody looked for it meanwhile."""
    try:
        if item.path.stat().st_mtime > fresh:
            return False
        item.path.unlink()
    except FileNotFoundError:
        return False
    return True


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
