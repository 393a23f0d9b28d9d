"""Where Debian packages come from on this host: settings first, then the host's own apt sources.

No host name stands in this code. apt itself is asked what it uses, so one-line and deb822 files,
proxies and mirror lists all count (sources.list(5), apt-get(8)).
"""

import re

from domain.errors import Fault
from domain.model import Value
from infra.process import CommandError, run
from infra.settings import Settings

_QUERY = "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)"
_IN_RELEASE = re.compile(r"^'(?P<uri>\S+?/)dists/(?P<suite>[^/]+)/InRelease'")
_POCKET = re.compile(r"^(?P<suite>[a-z]+)(?:-(?P<pocket>security|updates))$")
_SECONDS = 60.0


class Mirrors(Value):
    """Two archives of Debian, each the address above `dists/` and ending in a slash."""

    main: str
    security: str | None

    def of(self, archive: str) -> str | None:
        """The address of `main` or `security`."""
        return self.main if archive == "main" else self.security


async def find_mirrors(settings: Settings) -> Mirrors:
    """Name this host's mirrors; any suite of Debian can be had from them, not just the host's own.

    Raises:
        Fault: `mirror.unknown`, when neither settings nor apt name one.

    """
    main, security = settings.mirror, settings.security_mirror
    if main is None or security is None:
        found = known_mirrors(await _lines("indextargets", "--format", _QUERY, "Created-By: Packages"))
        if found.get("main") is None:
            found = guessed_mirrors(await _lines("update", "--print-uris")) | found
        main, security = main or found.get("main"), security or found.get("security")
    if main is None:
        raise Fault.because(
            "mirror.unknown",
            "This host's apt sources name no Debian archive.",
            next="Add one to /etc/apt/sources.list, or set OPENFACTORY_MIRROR (and OPENFACTORY_SECURITY_MIRROR).",
        )
    return Mirrors(main=_folder(main), security=None if security is None else _folder(security))


async def _lines(*arguments: str) -> list[str]:
    try:
        done = await run(["env", "LC_ALL=C.UTF-8", "apt-get", *arguments], timeout=_SECONDS)
    except CommandError:
        return []  # apt cannot read its own sources: the same as naming none
    return done.stdout.decode(errors="replace").splitlines()


def known_mirrors(lines: list[str]) -> dict[str, str]:
    """Read downloaded indexes: their Release files say whose they are."""
    found: dict[str, str] = {}
    for line in lines:
        origin, label, codename, uri = [*line.split("|"), "", "", "", ""][:4]
        if origin != "Debian" or not uri or uri.startswith("cdrom:"):
            continue
        archive = "security" if label == "Debian-Security" or codename.endswith("-security") else "main"
        if label in ("Debian", "Debian-Security"):
            found.setdefault(archive, uri)
    return found


def guessed_mirrors(lines: list[str]) -> dict[str, str]:
    """Read bare source entries, when no index was ever downloaded.

    An archive that has both `X` and `X-updates` is taken for Debian's: others name their suites
    like it, but do not have that second one. A wrong guess is refused later by its signature.
    """
    suites: dict[str, set[str]] = {}
    found: dict[str, str] = {}
    for line in lines:
        if match := _IN_RELEASE.match(line):
            suites.setdefault(match["uri"], set()).add(match["suite"])
    for uri, names in suites.items():
        pockets = [match for name in names if (match := _POCKET.match(name))]
        if any(p["pocket"] == "updates" and p["suite"] in names for p in pockets):
            found.setdefault("main", uri)
        if any(p["pocket"] == "security" for p in pockets):
            found.setdefault("security", uri)
    return found


def _folder(uri: str) -> str:
    return uri if uri.endswith("/") else f"{uri}/"
