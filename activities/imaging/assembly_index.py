"""Which bootable files a layer was made into before, at `<home>/assemblies/<key>.json`.

It is a cache: any file may be removed, and then the same bytes are made again.
"""

from pathlib import Path

from pydantic import ValidationError

from activities.imaging.store import LocalBlobStore, write_atomically
from domain.artifacts import Artifact
from domain.canonical import digest
from domain.model import Value


class AssemblyIngredients(Value):
    """All that decides the artifacts' bytes. `sources` digests our own stages, `layer` names the tree."""

    layer: str
    name: str
    epoch: int
    tools: dict[str, str]
    sources: str

    @property
    def key(self) -> str:
        """The assembly's key: SHA-256 as 64 hexadecimal digits."""
        return digest(self)


class Assembly(Value):
    """The artifacts of one key."""

    key: str
    artifacts: tuple[Artifact, ...]


class AssemblyIndex:
    """The index of this host."""

    def __init__(self, home: Path, store: LocalBlobStore) -> None:
        self._root = home / "assemblies"
        self._store = store

    def find(self, key: str) -> Assembly | None:
        """The assembly with this key; nothing if its record is unreadable or a file of it missing or short."""
        try:
            assembly = Assembly.model_validate_json((self._root / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None
        whole = all(self._store.has(artifact.blob) for artifact in assembly.artifacts)
        return assembly if assembly.key == key and assembly.artifacts and whole else None

    def record(self, assembly: Assembly) -> None:
        """Remember finished artifacts. Recording them again, by anyone, is harmless."""
        write_atomically(self._root / f"{assembly.key}.json", assembly.model_dump_json().encode())
