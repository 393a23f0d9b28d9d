"""Which lock a question to one state of the package index had, at `<home>/solutions/<key>.json`.

Solving takes some seconds, and the same index gives the same answer. It is a cache: any file may be
removed, and then the recipe is solved again.
"""

from pathlib import Path

from pydantic import ValidationError

from activities.imaging.ports import BlobStore
from activities.imaging.store import write_atomically
from domain.artifacts import Blob
from domain.canonical import digest
from domain.model import Value


class Question(Value):
    """All that decides a lock. `index` digests what the archives signed, `sources` our own resolver."""

    suite: str
    arch: str
    wanted: tuple[str, ...]
    system: tuple[str, ...]
    mirrors: dict[str, str | None]
    index: str
    tools: dict[str, str]
    sources: str

    @property
    def key(self) -> str:
        """The question's key: SHA-256 as 64 hexadecimal digits."""
        return digest(self)


class Solutions:
    """The locks that this host knows."""

    def __init__(self, home: Path, store: BlobStore) -> None:
        self._root = home / "solutions"
        self._store = store

    def find(self, question: Question) -> Blob | None:
        """The lock; nothing if its record is unreadable or the blob is not here."""
        try:
            lock = Blob.model_validate_json((self._root / f"{question.key}.json").read_bytes())
        except (OSError, ValidationError):
            return None
        return lock if self._store.has(lock) else None

    def record(self, question: Question, lock: Blob) -> None:
        """Remember a lock. Recording it again, by anyone, is harmless."""
        write_atomically(self._root / f"{question.key}.json", lock.model_dump_json().encode())
