"""What of this host goes into a layer's key: the versions of the programs."""

from collections.abc import Iterable

from infra.process import run

LAYER_TOOLS = ("apt", "dpkg", "mmdebstrap", "tar", "zstd")
_FORMAT = "${Package}=${Version}\\n"


async def tool_versions(packages: Iterable[str] = LAYER_TOOLS) -> dict[str, str]:
    """Name the versions of what makes layers (or of other `packages`), as the host's dpkg knows them."""
    done = await run(["dpkg-query", "--show", f"--showformat={_FORMAT}", *packages], timeout=30)
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
