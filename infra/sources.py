"""The digest of our own source files, which is part of every key that depends on what they do."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def source_digest(files: Iterable[Path]) -> str:
    """Digest source files by name and content, so that a changed one makes a new key."""
    hasher = hashlib.sha256()
    for file in sorted(files):
        hasher.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return hasher.hexdigest()
