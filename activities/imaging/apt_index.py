"""The package index of one suite: refreshed, asked for names and stanzas, and solved."""

import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from activities.imaging.apt_root import AptRoot
from activities.imaging.apt_sources import Mirrors
from activities.step_log import StepLog
from domain.canonical import digest
from domain.errors import Fault
from domain.model import Value
from infra.process import CommandError, run

FRESH_SECONDS = 30 * 60.0
_UPDATE_SECONDS = 300.0
_QUERY_SECONDS = 120.0
Archive = Literal["main", "security"]
Stanza = dict[str, str]


class Choice(Value):
    """One package file that apt chose. `path` is below the archive's address, unquoted."""

    name: str
    archive: Archive
    path: str


class IndexDates(Value):
    """When the archive signed its indexes: the suite itself, and the newest of all."""

    suite: datetime
    newest: datetime


class Unsolvable(Exception):
    """apt found no way to install the packages; `output` is what it wrote."""

    def __init__(self, output: Sequence[str]) -> None:
        self.output = tuple(output)
        super().__init__("\n".join(output))


@asynccontextmanager
async def open_index(root: AptRoot, mirrors: Mirrors, log: StepLog) -> AsyncGenerator["AptIndex"]:
    """Give a fresh enough index, that no other build replaces while it is in use.

    Raises:
        Fault: `mirror.unreachable`, when there is no index and none can be had.

    """
    async with root.locked(exclusive=True):
        changed = await root.prepare(mirrors)
        age = _age(root)
        if changed or age is None or age > FRESH_SECONDS:
            await _refresh(root, mirrors, log, usable=not changed and age is not None)
    async with root.locked(exclusive=False):
        yield AptIndex(root, mirrors)


def _age(root: AptRoot) -> float | None:
    try:
        return max(0.0, time.time() - root.stamp.stat().st_mtime)
    except FileNotFoundError:
        return None


async def _refresh(root: AptRoot, mirrors: Mirrors, log: StepLog, *, usable: bool) -> None:
    log.line(f"Refreshing the package index of {root.suite} ({root.arch}).")
    if mirrors.security is None:
        log.line(f"This host's apt sources name no security archive: {root.suite}-security is not used.")
    try:
        await run(root.argv("apt-get", "update", "--error-on=any", "-q"), timeout=_UPDATE_SECONDS, on_line=log.line)
    except CommandError as error:
        if not usable:
            root.stamp.unlink(missing_ok=True)
            raise Fault.because(
                "mirror.unreachable",
                f"The package index of {root.suite} could not be fetched: {_reason(error)}",
                value=mirrors.main,
                next="Check the host's network and apt sources (or OPENFACTORY_MIRROR), then retry.",
            ) from error
        log.line(f"The index could not be refreshed ({_reason(error)}); an earlier one is used.")
        return
    root.stamp.touch()


def _reason(error: CommandError) -> str:
    lines = [line[3:].strip() for line in error.tail if line.startswith(("E: ", "W: "))]
    return lines[0] if lines else str(error)


class AptIndex:
    """Questions to one index. Nothing here downloads or installs."""

    def __init__(self, root: AptRoot, mirrors: Mirrors) -> None:
        self.root = root
        self.mirrors = mirrors

    async def names(self) -> frozenset[str]:
        """Every package name there is, about 63,000."""
        return frozenset(await self._ask("apt-cache", "pkgnames"))

    async def providers(self, name: str) -> tuple[str, ...]:
        """The packages that provide a virtual package, sorted; none if it is not one."""
        with contextlib.suppress(CommandError):
            lines = await self._ask("apt-cache", "showpkg", name)
            start = lines.index("Reverse Provides: ") if "Reverse Provides: " in lines else len(lines)
            return tuple(sorted({line.split()[0] for line in lines[start + 1 :] if line.strip()}))
        return ()

    async def solve(self, targets: Iterable[str]) -> tuple[Choice, ...]:
        """Choose all package files that an empty machine needs for `targets` (names or apt patterns).

        Raises:
            Unsolvable: apt says that they cannot be installed together.

        """
        argv = self.root.argv("apt-get", "-q", "-y", "--print-uris", "install", "--", *targets)
        written: list[str] = []
        try:
            await run(argv, timeout=_QUERY_SECONDS, on_line=written.append)
        except CommandError as error:
            raise Unsolvable(written) from error
        return tuple(self._choice(line) for line in written if line.startswith("'"))

    async def stanzas(self, names: Iterable[str]) -> dict[str, Stanza]:
        """Every stanza of the packages, by the path of its file."""
        lines = await self._ask("apt-cache", "show", "--", *names)
        found: dict[str, Stanza] = {}
        for stanza in parse_stanzas(lines):
            found[stanza["Filename"].removeprefix("./")] = stanza
        return found

    def dates(self) -> IndexDates:
        """When the indexes were signed, from the `Date` of their Release files.

        Raises:
            Fault: `mirror.broken`, when the suite's own Release file says no date.

        """
        dates: dict[str, datetime] = {}
        for path in self._signed():
            head = path.read_text(errors="replace")[:8192].splitlines()
            fields = dict(line.split(": ", 1) for line in head if ": " in line)
            if "Codename" in fields and "Date" in fields:
                dates[fields["Codename"]] = parsedate_to_datetime(fields["Date"]).astimezone(UTC)
        if self.root.suite not in dates:
            raise Fault.because(
                "mirror.broken", f"The index of {self.root.suite} says no date.", next="Check the mirror, then retry."
            )
        return IndexDates(suite=dates[self.root.suite], newest=max(dates.values()))

    def digest(self) -> str:
        """Digest what the archives signed, which names every list of packages by its own digest."""
        return digest({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self._signed()})

    def _signed(self) -> list[Path]:
        return [*sorted(self.root.lists.glob("*InRelease")), *sorted(self.root.lists.glob("*_Release"))]

    async def _ask(self, program: str, *arguments: str) -> list[str]:
        done = await run(self.root.argv(program, *arguments), timeout=_QUERY_SECONDS)
        return done.stdout.decode(errors="replace").splitlines()

    def _choice(self, line: str) -> Choice:
        """Read `'uri' file_name size hash`, as `--print-uris` writes it."""
        quoted, file = line[1:].split("' ", 1)
        uri = unquote(quoted)
        # The longer address first: one may begin with the other.
        archives: list[tuple[Archive, str]] = [("main", self.mirrors.main), ("security", self.mirrors.security or "")]
        for archive, address in sorted(archives, key=lambda item: -len(item[1])):
            if address and uri.startswith(unquote(address)):
                path = uri.removeprefix(unquote(address)).removeprefix("./")
                return Choice(name=file.split("_", 1)[0], archive=archive, path=path)
        raise Fault.because("mirror.broken", f"apt chose a file outside its mirrors: {uri}", next="Report this.")


def parse_stanzas(lines: Iterable[str]) -> list[Stanza]:
    """Split Packages text into stanzas; a continuation line is appended to its field (deb822(5))."""
    stanzas: list[Stanza] = []
    current: Stanza = {}
    field = ""
    for line in lines:
        if not line.strip():
            if current:
                stanzas.append(current)
            current = {}
        elif line[0] in " \t" and field:
            current[field] += "\n" + line
        else:
            field, _, value = line.partition(":")
            current[field] = value.strip()
    return [*stanzas, current] if current else stanzas
