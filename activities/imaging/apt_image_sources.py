"""The package sources that an image itself gets: a setting, else what the bootstrap tool would write.

The mirror that an image was built from is this factory's business and is never one of them.
"""

import re
from pathlib import Path

from domain.errors import Fault
from infra.process import run
from infra.sandbox import sandboxed

_ENTRY = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"  # in the package debian-archive-keyring, part of every base
_SECONDS = 60.0


async def image_sources(suite: str, image_mirror: str | None, workspace: Path) -> str:
    """Write the sources of an image of this suite (deb822, sources.list(5)).

    `image_mirror` stands in for the archive of the suite and its updates; the security archive is
    always the distribution's own.

    Raises:
        Fault: `layer.no_sources`, when the bootstrap tool names none.

    """
    entries = await _defaults(suite, workspace)
    archives: dict[tuple[str, str], list[str]] = {}
    for uri, pocket, components in entries:
        own = image_mirror if image_mirror is not None and not pocket.endswith("-security") else uri
        archives.setdefault((own, components), []).append(pocket)
    stanzas = [
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: {components}\nSigned-By: {_KEYRING}\n"
        for (uri, components), suites in archives.items()
    ]
    return "\n".join(stanzas)


async def _defaults(suite: str, workspace: Path) -> list[tuple[str, str, str]]:
    """Let mmdebstrap(1) set up an empty tree, which writes its sources and downloads nothing."""
    tree = workspace / "sources"
    argv = ["mmdebstrap", "--mode=root", "--variant=custom", "--skip=update,cleanup", "--format=directory"]
    await run(sandboxed([*argv, suite, str(tree)]), timeout=_SECONDS)
    folder = tree / "etc" / "apt"
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    lines = [line for file in files if file.is_file() for line in file.read_text().splitlines()]
    found = [(m["uri"], m["suite"], m["components"].strip()) for line in lines if (m := _ENTRY.match(line))]
    if not found:
        raise Fault.because(
            "layer.no_sources",
            f"mmdebstrap names no package source for {suite}.",
            next="Set OPENFACTORY_IMAGE_MIRROR, or install a newer mmdebstrap.",
        )
    return found
