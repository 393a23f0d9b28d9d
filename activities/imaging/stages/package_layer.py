"""The recipe's packages, installed by the image's own apt from the locked files, without a network."""

import re
import sys
from collections import deque

from activities.imaging.layers_plans import PackagePlan
from activities.imaging.stages.frame import Stage, main
from activities.imaging.stages.layer_tree import (
    ROOT,
    bind_repository,
    make_root,
    mount_system,
    pack,
    require_packages,
    scrub,
    unmount_system,
    unpack,
)
from activities.step_log import StepLog
from domain.errors import Verdict
from infra.process import CommandError, OnLine

# apt's status pipe would be the better source, but apt makes it non-blocking, which it may not share with a script.
_DONE = re.compile(r"^(?:Unpacking|Setting up) (?P<package>\S+) \(")
_FAILED = re.compile(r"^dpkg: error processing (?:package|archive) (?P<package>\S+)")
_NOISE = re.compile(r"^\(Reading database|^(?:Selecting previously|Preparing to unpack|Get:\d+ file:)")
_POLICY = "usr/sbin/policy-rc.d"
_MOUNTED = "run/repository"  # in the tree; /run is gone when the tree is packed
_INSTALL_FROM, _INSTALL_TO = 10.0, 70.0  # percent of the step
_SHOWN = 25
_ENVIRONMENT = ("DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", "INITRD=No")


async def work(plan: PackagePlan, stage: Stage) -> None:
    """Install exactly the targets, make the initial ramdisk once, clean and pack."""
    await make_root(plan, stage)
    stage.progress(2, "unpacking the base")
    await unpack(plan.parent, stage)
    await mount_system(stage)
    await bind_repository(plan.repository, stage, ROOT / _MOUNTED)
    await _install(plan, stage)
    stage.progress(75, "making the initial ramdisk")
    await _make_initrd(stage)
    await require_packages(plan.expected, stage)
    await unmount_system(stage)
    (ROOT / _POLICY).unlink()
    scrub()
    stage.progress(90, "packing")
    await pack(plan, stage)


async def _install(plan: PackagePlan, stage: Stage) -> None:
    policy = ROOT / _POLICY
    policy.write_text("#!/bin/sh\nexit 101\n")  # invoke-rc.d(8): no service is started while building
    policy.chmod(0o755)
    sources = ROOT / "run/sources.list"
    sources.write_text(f"deb [trusted=yes] file:/{_MOUNTED} ./\n")
    if not plan.targets:
        return
    apt = (
        *("-q", "-y", "-o", "Dir::Etc::sourcelist=/run/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
        *("-o", "APT::Sandbox::User=root", "-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Dpkg::Use-Pty=0"),
        *("-o", "APT::Install-Recommends=false"),
    )
    await _in_tree(stage, "apt-get", *apt, "update")
    report = InstallReport(stage, len(plan.targets))
    try:
        await _in_tree(stage, "apt-get", *apt, "install", "--", *plan.targets, on_line=report)
    except CommandError as error:
        raise report.verdict(error) from error
    if plan.automatic:
        await _in_tree(stage, "apt-mark", "auto", *plan.automatic, on_line=_quiet)


async def _make_initrd(stage: Stage) -> None:
    if (ROOT / "usr/sbin/update-initramfs").exists() and any((ROOT / "boot").glob("vmlinuz-*")):
        await _in_tree(stage, "update-initramfs", "-c", "-k", "all", initrd=True)


async def _in_tree(stage: Stage, *argv: str, on_line: OnLine | None = None, initrd: bool = False) -> None:
    words = _ENVIRONMENT[:-1] if initrd else _ENVIRONMENT
    await stage.run("env", *words, "chroot", ROOT, *argv, on_line=on_line)


def _quiet(_: str) -> None:
    """Drop a line: one for each package that is marked."""


class InstallReport:
    """Reads what apt and dpkg write: for the log, for progress, and for the reason of a failure."""

    def __init__(self, stage: StepLog, packages: int) -> None:
        self._stage = stage
        self._actions = 2 * packages  # each is unpacked, then set up
        self._done = 0
        self._failed: list[str] = []
        self._tail: deque[str] = deque(maxlen=_SHOWN)

    def __call__(self, line: str) -> None:
        """Take one line."""
        if match := _DONE.match(line):
            self._done += 1
            share = min(1.0, self._done / self._actions)
            self._stage.progress(_INSTALL_FROM + share * (_INSTALL_TO - _INSTALL_FROM), line.split(" (", maxsplit=1)[0])
        elif match := _FAILED.match(line):
            self._failed.append(match["package"])
        if not _NOISE.match(line):
            self._tail.append(line)
            self._stage.line(line)

    def verdict(self, error: CommandError) -> Verdict:
        """Name the package that failed first: others may only have waited for it."""
        name = self._failed[0].rsplit("/", 1)[-1].split("_")[0].split(":")[0] if self._failed else None
        said = "\n".join(self._tail) or str(error)
        return Verdict.because(
            "package.install_failed",
            f"{name or 'A package'} could not be installed:\n{said}",
            value=name,
            next="Remove the package from the recipe or replace it; the step's log has its whole output.",
        )


if __name__ == "__main__":
    sys.exit(main(PackagePlan, work))
