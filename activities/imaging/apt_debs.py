"""Package files, kept by their SHA-256 so that a rebuild needs no mirror and survives one that forgets."""

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from activities.imaging.apt_root import AptRoot
from activities.imaging.apt_sources import Mirrors
from activities.imaging.lock import LockedPackage
from activities.imaging.store import sync_folder
from activities.step_log import StepLog
from domain.errors import Fault, Verdict
from infra.process import CommandError, run

_HELPER = "/usr/lib/apt/apt-helper"
_BATCH = 200  # keeps one command line far below ARG_MAX
_SECONDS_PER_BATCH = 1800.0
_GOT = re.compile(r"^Get:\d+ \S*/(?P<file>[^/ ]+)")
_GONE = re.compile(r"\b404\b|Not Found", re.IGNORECASE)


class DebCache:
    """Package files at `<home>/cache/debs/<sha256>`. It is a cache: any file may be removed."""

    def __init__(self, home: Path) -> None:
        self._root = home / "cache" / "debs"

    def path(self, package: LockedPackage) -> Path:
        """Where the package's file is, or would be."""
        return self._root / package.sha256

    def missing(self, packages: Iterable[LockedPackage]) -> tuple[LockedPackage, ...]:
        """The packages whose file is not here whole."""
        return tuple(package for package in packages if not self._has(package))

    def _has(self, package: LockedPackage) -> bool:
        path = self.path(package)
        try:
            whole = path.stat().st_size == package.bytes
            if whole:
                os.utime(path)  # it counts as used now, and goes later than others
        except OSError:
            return False
        return whole

    async def fetch(
        self, packages: Sequence[LockedPackage], source: tuple[AptRoot, Mirrors], workspace: Path, log: StepLog
    ) -> int:
        """Download what is missing; answers how many files that were. Two who fetch the same are harmless.

        apt does it, with its proxies, mirrors and credentials, and checks every file against the
        lock's SHA-256; it is checked once more before it enters the cache. `workspace` must be on the
        cache's file system.

        Raises:
            Verdict: `package.superseded`, when the archive no longer has that version.
            Fault: `mirror.unreachable`, or `mirror.hash_mismatch`.

        """
        missing = self.missing(packages)
        if not missing:
            return 0
        folder = self._folder(workspace)
        report = _Meter(missing, log)
        for batch in _batches(missing):
            await _download(source, batch, folder, report)
            await asyncio.to_thread(self._keep, batch, folder)
        return len(missing)

    async def gone(
        self, packages: Sequence[LockedPackage], source: tuple[AptRoot, Mirrors], workspace: Path, log: StepLog
    ) -> tuple[LockedPackage, ...]:
        """Download what can still be had of these, and answer those that the archive no longer has.

        Raises:
            Fault: as `fetch`.

        """
        folder = self._folder(workspace)
        missing = self.missing(packages)
        report = _Meter(missing, log)
        for batch in _batches(missing):
            with contextlib.suppress(Verdict):  # apt goes on with the others
                await _download(source, batch, folder, report)
            there = [package for package in batch if (folder / package.sha256).exists()]
            await asyncio.to_thread(self._keep, there, folder)
        return self.missing(packages)

    def link(self, packages: Iterable[LockedPackage], folder: Path) -> None:
        """Show the packages' files in `folder` under their usual names (hard links, nothing is copied)."""
        for package in packages:
            (folder / package.file_name).hardlink_to(self.path(package))

    def _folder(self, workspace: Path) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        folder = workspace / "download"
        folder.mkdir(exist_ok=True)
        return folder

    def _keep(self, packages: Sequence[LockedPackage], folder: Path) -> None:
        for package in packages:
            file = folder / package.sha256
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
            if found != package.sha256:
                raise Fault.because(
                    "mirror.hash_mismatch",
                    f"{package.file_name} has the digest {found[:12]}, not {package.sha256[:12]}.",
                    next="The mirror or a proxy changed the file: check OPENFACTORY_MIRROR, then retry.",
                )
            file.chmod(0o444)
            file.replace(self.path(package))
        sync_folder(self._root)


class _Meter:
    """Turns apt's `Get:` lines into progress by bytes."""

    def __init__(self, packages: Sequence[LockedPackage], log: StepLog) -> None:
        self._log = log
        self._sizes = {quote(package.path.rsplit("/", 1)[-1]).lower(): package.bytes for package in packages}
        self._total = sum(self._sizes.values())
        self._begun = 0

    def __call__(self, line: str) -> None:
        if match := _GOT.match(line):
            share = 100 * self._begun / max(1, self._total)
            self._begun += self._sizes.pop(match["file"].lower(), 0)
            self._log.progress(share, f"downloading {match['file']}")
        self._log.line(line)


def _batches(packages: Sequence[LockedPackage]) -> Iterable[Sequence[LockedPackage]]:
    return (packages[start : start + _BATCH] for start in range(0, len(packages), _BATCH))


async def _download(
    source: tuple[AptRoot, Mirrors], packages: Sequence[LockedPackage], folder: Path, on_line: Callable[[str], None]
) -> None:
    root, mirrors = source
    words: list[str] = []
    for package in packages:
        address = mirrors.of(package.archive)
        if address is None:
            raise Fault.because(
                "mirror.unknown",
                f"{package.file_name} is in the security archive, of which this host knows no mirror.",
                next="Set OPENFACTORY_SECURITY_MIRROR, or add the archive to apt's sources.",
            )
        # Percent signs of a file name are escaped once more by quote(): they are part of the name.
        words += [address + quote(package.path), str(folder / package.sha256), f"SHA256:{package.sha256}"]
    try:
        await run(root.argv(_HELPER, "-q", "download-file", *words), timeout=_SECONDS_PER_BATCH, on_line=on_line)
    except CommandError as error:
        raise _explained(error) from error


def _explained(error: CommandError) -> Verdict | Fault:
    reasons = [line for line in error.tail if line.startswith("E: ")] or [str(error)]
    gone = [line for line in reasons if _GONE.search(line)]
    if gone:
        return Verdict.because(
            "package.superseded",
            f"The archive no longer has a package of this build's lock: {gone[0].removeprefix('E: ')}",
            next="Start a new build of the recipe: it is solved again with today's index.",
        )
    code = "mirror.hash_mismatch" if any("Hash Sum" in line for line in reasons) else "mirror.unreachable"
    return Fault.because(
        code,
        f"Packages could not be downloaded: {reasons[0].removeprefix('E: ')}",
        next="Check the host's network and apt sources (or OPENFACTORY_MIRROR), then retry.",
    )
