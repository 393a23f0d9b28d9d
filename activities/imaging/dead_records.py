"""Records of the host's indexes whose files have gone from its store: nobody finds anything by them any more."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from activities.imaging.assembly_index import Assembly
from domain.artifacts import Blob, Layer

_BLOBS: Final[Mapping[str, Callable[[bytes], Iterable[Blob]]]] = {
    "layers": lambda data: Layer.model_validate_json(data).blobs,
    "assemblies": lambda data: [artifact.blob for artifact in Assembly.model_validate_json(data).artifacts],
    "solutions": lambda data: [Blob.model_validate_json(data)],
}
"""What the records in a folder of the home name."""


@dataclass(frozen=True)
class Record:
    """One of them, its size in bytes, and when it was written."""

    path: Path
    bytes: int
    written: float


def dead_records(home: Path, gone: frozenset[str], before: float) -> Iterable[Record]:
    """Find records written before a time that cannot be read or name a blob that is not here; `gone` are as good as."""
    for folder, blobs_of in _BLOBS.items():
        for path in sorted((home / folder).glob("*.json")):
            try:
                found = path.stat()
                if found.st_mtime < before and not _alive(home, blobs_of, path.read_bytes(), gone):
                    yield Record(path=path, bytes=found.st_size, written=found.st_mtime)
            except OSError:
                continue


def _alive(home: Path, blobs_of: Callable[[bytes], Iterable[Blob]], data: bytes, gone: frozenset[str]) -> bool:
    try:
        digests = [blob.digest for blob in blobs_of(data)]
    except ValidationError:
        return False
    # Asked without `BlobStore.has`, by which a blob counts as used.
    return bool(digests) and all(
        digest not in gone and os.path.lexists(home / "store" / digest[:2] / digest) for digest in digests
    )
