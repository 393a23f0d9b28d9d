"""What of this host goes into a layer's key: the versions of the programs and our own stages' source."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from infra.process import run

LAYER_TOOLS = ("apt", "dpkg", "mmdebstrap", "tar", "zstd")
_FORMAT = "${Package}=${Version}\\n"


async def tool_versions(packages: Iterable[str] = LAYER_TOOLS) -> dict[str, str]:
    """Name the versions of what makes layers (or of other `packages`), as the host's dpkg knows them."""
    done = await run(["dpkg-query", "--show", f"--showformat={_FORMAT}", *packages], timeout=30)
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines())


def source_digest(files: Iterable[Path]) -> str:
    """Digest source files by name and content, so that a changed stage makes new layers."""
    hasher = hashlib.sha256()
    for file in sorted(files):
        hasher.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return hasher.hexdigest()
