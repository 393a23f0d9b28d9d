"""Writes a compressed qcow2 image of a raw disk, on all processors and always the same bytes.

`qemu-img convert -c` compresses one cluster after the other unless it may put them down in any order, which gives
other bytes each time. The format: docs/interop/qcow2.rst of QEMU, version 3; the names here are its own.
"""

import errno
import os
import struct
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import BinaryIO

import zstandard

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_SECTOR_BITS = 9
_L2_ENTRIES = _CLUSTER // 8
_BLOCK_ENTRIES = _CLUSTER // 2  # refcounts of 16 bits
_COPIED = 1 << 63
_COMPRESSED = 1 << 62
_SECTORS_SHIFT = 62 - (_CLUSTER_BITS - 8)
_COMPRESSION_TYPE_BIT = 1 << 3
_ZSTD = 1
_ZEROS = bytes(_CLUSTER)
_LEVEL = 3  # as qemu-img has it
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQIIB7x8x")  # with the end of the header extensions
_HEADER_LENGTH = 112
_BATCH = 16  # clusters of one thread's turn
_AHEAD = 4  # turns for each thread, so that none waits for the writer

Cluster = tuple[int, bytes]  # its number on the disk, and its bytes: compressed if they are fewer


def write(raw: Path, output: Path, progress: Callable[[float], None]) -> None:
    """Write `output`; holes and zeros take no room. `progress` is told the percentage of the disk that is done.

    Raises:
        OSError: the image cannot be written; what is there of it is useless.

    """
    with raw.open("rb") as disk, output.open("xb") as file:
        size = os.fstat(disk.fileno()).st_size
        image = _Image(file, -(-size // _CLUSTER))
        for number, data in _clusters(disk.fileno(), size):
            image.add(number, data)
            progress(100 * number * _CLUSTER / size)
        image.finish(size)


@dataclass
class _Image:
    """The image as far as it is written: the header's cluster is left free until the end, the tables come last."""

    file: BinaryIO
    clusters: int
    end: int = _CLUSTER
    l2: "dict[int, array[int]]" = field(default_factory=dict[int, "array[int]"])
    refcounts: dict[int, int] = field(default_factory=lambda: {0: 1})

    def __post_init__(self) -> None:
        self.file.write(_ZEROS)

    def add(self, number: int, data: bytes) -> None:
        """Put a cluster down, behind the last one."""
        if len(data) == _CLUSTER:
            entry = self._table(data) | _COPIED
        else:
            sectors = ((self.end + len(data) - 1) >> _SECTOR_BITS) - (self.end >> _SECTOR_BITS)
            entry = self.end | sectors << _SECTORS_SHIFT | _COMPRESSED
            self._append(data)
        table = self.l2.setdefault(number // _L2_ENTRIES, array("Q", bytes(_CLUSTER)))
        table[number % _L2_ENTRIES] = entry

    def finish(self, size: int) -> None:
        """Write the tables, and the header that points to them."""
        l1 = array("Q", bytes(8 * -(-self.clusters // _L2_ENTRIES)))
        for number, table in sorted(self.l2.items()):
            l1[number] = self._table(_big_endian(table)) | _COPIED
        l1_offset = self._table(_big_endian(l1))
        refcount_table, table_clusters = self._refcounts()
        self.file.seek(0)
        self.file.write(
            _HEADER.pack(
                *(b"QFI\xfb", 3, 0, 0, _CLUSTER_BITS, size, 0, len(l1), l1_offset, refcount_table, table_clusters),
                *(0, 0, _COMPRESSION_TYPE_BIT, 0, 0, 4, _HEADER_LENGTH, _ZSTD),
            )
        )

    def _refcounts(self) -> tuple[int, int]:
        """Write the refcounts of all clusters, their own among them; answers where their table is and its clusters."""
        self._align()
        used, blocks, table = self.end // _CLUSTER, 0, 1
        while blocks * _BLOCK_ENTRIES < used + blocks + table:
            blocks += 1
            table = -(-blocks * 8 // _CLUSTER)
        counts = array("H", bytes(2 * blocks * _BLOCK_ENTRIES))
        for cluster, count in self.refcounts.items():
            counts[cluster] = count
        for cluster in range(used, used + blocks + table):
            counts[cluster] = 1
        first = self.end
        self.file.write(_big_endian(counts))
        offset = first + blocks * _CLUSTER
        pointers = array("Q", (first + block * _CLUSTER for block in range(blocks)))
        self.file.write(_big_endian(pointers).ljust(table * _CLUSTER, b"\0"))
        return offset, table

    def _table(self, data: bytes) -> int:
        """Put whole clusters down at the start of one; answers where."""
        self._align()
        offset = self.end
        self._append(data.ljust(-(-len(data) // _CLUSTER) * _CLUSTER, b"\0"))
        return offset

    def _append(self, data: bytes) -> None:
        for cluster in range(self.end >> _CLUSTER_BITS, ((self.end + len(data) - 1) >> _CLUSTER_BITS) + 1):
            self.refcounts[cluster] = self.refcounts.get(cluster, 0) + 1
        self.file.write(data)
        self.end += len(data)

    def _align(self) -> None:
        gap = -self.end % _CLUSTER
        self.file.write(bytes(gap))
        self.end += gap


def _clusters(disk: int, size: int) -> Iterator[Cluster]:
    """Give each cluster that has something in it, in order, compressed by as many threads as there are processors."""
    threads = len(os.sched_getaffinity(0))
    own = local()
    waiting: deque[Future[list[Cluster]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for batch in _batches(_in_use(disk, size)):
            waiting.append(pool.submit(_compressed, disk, batch, own))
            if len(waiting) >= threads * _AHEAD:
                yield from waiting.popleft().result()
        for turn in waiting:
            yield from turn.result()


def _compressed(disk: int, numbers: list[int], own: local) -> list[Cluster]:
    if not hasattr(own, "compressor"):  # one may not be used by two threads at once
        own.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    found: list[Cluster] = []
    for number in numbers:
        data = os.pread(disk, _CLUSTER, number * _CLUSTER).ljust(_CLUSTER, b"\0")
        if data != _ZEROS:
            packed = own.compressor.compress(data)
            found.append((number, packed if len(packed) < _CLUSTER else data))
    return found


def _in_use(disk: int, size: int) -> Iterator[int]:
    """Number the clusters that are not holes of the file (lseek(2), SEEK_DATA)."""
    position = last = 0
    while position < size:
        try:
            start = os.lseek(disk, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole until the end
                return
            raise
        position = os.lseek(disk, start, os.SEEK_HOLE)
        numbers = range(max(last, start // _CLUSTER), -(-position // _CLUSTER))
        yield from numbers
        last = numbers.stop


def _batches(numbers: Iterator[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    for number in numbers:
        batch.append(number)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _big_endian(values: "array[int]") -> bytes:
    copy = array(values.typecode, values)
    if sys.byteorder == "little":
        copy.byteswap()
    return copy.tobytes()
