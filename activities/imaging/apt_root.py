"""A private apt root for one suite and architecture: the host's own apt is never touched.

`<home>/cache/apt/<suite>-<arch>/` holds a configuration, a source list, the package indexes and an
empty dpkg status, so whatever is solved in it is solved for an empty machine. `APT_CONFIG` names the
configuration (apt.conf(5)); of the host's configuration only how to reach a mirror is taken over.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from activities.imaging.apt_sources import Mirrors
from activities.imaging.store import write_atomically
from domain.errors import Fault
from infra.process import run

_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
# How to reach a mirror and how strictly to judge its dates is the administrator's decision.
_TAKEN_OVER = re.compile(
    r"^Acquire::(?:https?|ftp|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-FutureTime|Send-URI-Encoded)\b",
    re.IGNORECASE,
)
_CONFIG = """\
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
Dir::Etc "{folder}/etc";
Dir::Etc::sourcelist "{folder}/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trustedparts "/dev/null";
APT::Architecture "{arch}";
APT::Architectures "{arch}";
APT::Install-Recommends "false";
APT::Solver "internal";
Acquire::Languages "none";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::Retries "2";
Debug::NoLocking "true";
"""
_LOCK_POLL_SECONDS = 0.1
_LOCK_SECONDS = 300.0


class AptRoot:
    """The files of one private root, and the commands that use them."""

    def __init__(self, home: Path, suite: str, arch: str) -> None:
        self.suite = suite
        self.arch = arch
        self.folder = home / "cache" / "apt" / f"{suite}-{arch}"
        self.lists = self.folder / "lists"
        self.stamp = self.folder / "refreshed"

    def argv(self, program: str, *arguments: str) -> list[str]:
        """A command of the apt family that sees this root only, and speaks plain English."""
        return ["env", f"APT_CONFIG={self.folder / 'apt.conf'}", "LC_ALL=C.UTF-8", program, *arguments]

    async def prepare(self, mirrors: Mirrors) -> bool:
        """Write the root's files; answers whether the sources changed, so that its indexes are of no use."""
        for name in ("lists/partial", "cache/archives/partial", "etc"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(folder=self.folder, arch=self.arch)
        if os.geteuid() == 0:
            config += 'APT::Sandbox::User "root";\n'  # _apt may not enter the factory's home
        _replace(self.folder / "apt.conf", config + await _host_settings())
        _replace(self.folder / "status", "")
        return _replace(self.folder / "etc" / "sources.list", self._sources(mirrors))

    def _sources(self, mirrors: Mirrors) -> str:
        options = f"[arch={self.arch} signed-by={_keyring()}]"
        lines = [f"deb {options} {mirrors.main} {suite} main" for suite in (self.suite, f"{self.suite}-updates")]
        if mirrors.security is not None:
            lines.append(f"deb {options} {mirrors.security} {self.suite}-security main")
        return "\n".join(lines) + "\n"

    @asynccontextmanager
    async def locked(self, *, exclusive: bool) -> AsyncGenerator[None]:
        """Share the root with other builds, or have it alone while its indexes are replaced.

        The kernel gives the lock back when its holder dies (flock(2)).

        Raises:
            Fault: `apt.busy`, when another build refreshes for more than five minutes.

        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                async with asyncio.timeout(_LOCK_SECONDS):
                    while not _try_lock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH):  # noqa: ASYNC110 - another process holds it
                        await asyncio.sleep(_LOCK_POLL_SECONDS)
            except TimeoutError:
                raise Fault.because(
                    "apt.busy",
                    f"Another build holds the {self.suite} package index for more than {_LOCK_SECONDS:.0f} s.",
                    next="Look whether a mirror is hanging, then retry.",
                ) from None
            yield
        finally:
            os.close(handle)


def _try_lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keyring() -> Path:
    for path in _KEYRINGS:
        if path.exists():
            return path
    raise Fault.because(
        "mirror.no_keyring",
        "The keys of the Debian archive are not on this host.",
        next="Install the package debian-archive-keyring (`./openfactory doctor --fix`), then retry.",
    )


async def _host_settings() -> str:
    done = await run(["env", "LC_ALL=C.UTF-8", "apt-config", "dump"], timeout=30)
    lines = [line for line in done.stdout.decode(errors="replace").splitlines() if _TAKEN_OVER.match(line)]
    for key, path in (("netrc", "/etc/apt/auth.conf"), ("netrcparts", "/etc/apt/auth.conf.d")):
        lines.append(f'Dir::Etc::{key} "{path if os.access(path, os.R_OK) else "/dev/null"}";')
    return "\n".join(lines) + "\n"


def _replace(path: Path, text: str) -> bool:
    if path.exists() and path.read_text() == text:
        return False
    write_atomically(path, text.encode())
    return True
