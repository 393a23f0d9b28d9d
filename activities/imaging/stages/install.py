"""Packages put into a tree by the tree's own apt, from the locked files and without a network, and the ramdisk."""

import re
from collections import deque

from activities.imaging.layers_plans import InstallPlan
from activities.imaging.stages.frame import Stage
from activities.imaging.stages.layer_tree import ROOT, bind_repository, mount_system, unmount_system
from activities.step_log import StepLog
from domain.errors import Verdict
from infra.process import CommandError, OnLine

# apt's status pipe would be the better source, but apt makes it non-blocking, which it may not share with a script.
_DONE = re.compile(r"^(?:Unpacking|Setting up) (?P<package>\S+) \(")
_FAILED = re.compile(r"^dpkg: error processing (?:package|archive) (?P<package>\S+)")
_NOISE = re.compile(r"^\(Reading database|^(?:Selecting previously|Preparing to unpack|Get:\d+ file:)")
_POLICY = "usr/sbin/policy-rc.d"
_MOUNTED = "run/repository"  # in the tree; /run is gone when the tree is packed
Span = tuple[float, float]
_SHOWN = 25
_ENVIRONMENT = ("DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true")
_NO_RAMDISK = "INITRD=No"  # asks a kernel's scripts to make none (initramfs-tools, its hook in /etc/kernel)
# Thousands of short programs that would each open the files of a locale: a seventh of the time.
_PLAIN = "LC_ALL=C"


async def install(plan: InstallPlan, stage: Stage, span: Span) -> None:
    """Install the targets and see to the initial ramdisk; nothing of the work is left in the tree.

    `span` is the part of the step's progress that the packages take, in percent.

    The first kernel's ramdisk is made once, at the end. One that is there already is dpkg's triggers' business, as
    on any machine to which packages are added.

    Raises:
        Verdict: `package.install_failed`.

    """
    await mount_system(stage)
    await bind_repository(plan.repository, stage, ROOT / _MOUNTED)
    policy = ROOT / _POLICY
    policy.write_text("#!/bin/sh\nexit 101\n")  # invoke-rc.d(8): no service is started while building
    policy.chmod(0o755)
    made = any((ROOT / "boot").glob("initrd.img-*"))
    await _install(plan, InstallReport(stage, len(plan.targets), span), stage, () if made else (_NO_RAMDISK,))
    if not made:
        stage.progress(span[1], "making the initial ramdisk")
        await _make_ramdisk(stage)
    await unmount_system(stage)
    policy.unlink()


async def _install(plan: InstallPlan, report: "InstallReport", stage: Stage, extra: tuple[str, ...]) -> None:
    sources = ROOT / "run/sources.list"
    sources.write_text(f"deb [trusted=yes] file:/{_MOUNTED} ./\n")
    if plan.targets:
        apt = (
            *("-q", "-y", "-o", "Dir::Etc::sourcelist=/run/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", "APT::Sandbox::User=root", "-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Dpkg::Use-Pty=0"),
            *("-o", "APT::Install-Recommends=false"),
        )
        await _in_tree(stage, "apt-get", *apt, "update")
        words = ("apt-get", *apt, "install", "--", *plan.targets)
        try:
            await _in_tree(stage, *words, extra=extra, on_line=report)
        except CommandError as error:
            raise report.verdict(error) from error
    for mark, packages in (("auto", plan.automatic), ("manual", plan.manual)):
        if packages:
            await _in_tree(stage, "apt-mark", mark, *packages, on_line=_quiet)


async def _make_ramdisk(stage: Stage) -> None:
    if (ROOT / "usr/sbin/update-initramfs").exists() and any((ROOT / "boot").glob("vmlinuz-*")):
        await _in_tree(stage, "update-initramfs", "-c", "-k", "all", extra=(_PLAIN,))


async def _in_tree(stage: Stage, *argv: str, extra: tuple[str, ...] = (), on_line: OnLine | None = None) -> None:
    await stage.run("env", *_ENVIRONMENT, *extra, "chroot", ROOT, *argv, on_line=on_line)


def _quiet(_: str) -> None:
    """Drop a line: one for each package that is marked."""


class InstallReport:
    """Reads what apt and dpkg write: for the log, for progress, and for the reason of a failure."""

    def __init__(self, stage: StepLog, packages: int, span: Span) -> None:
        self._stage = stage
        self._from, self._to = span
        self._actions = 2 * packages  # each is unpacked, then set up
        self._done = 0
        self._failed: list[str] = []
        self._tail: deque[str] = deque(maxlen=_SHOWN)

    def __call__(self, line: str) -> None:
        """Take one line."""
        if match := _DONE.match(line):
            self._done += 1
            share = min(1.0, self._done / self._actions)
            self._stage.progress(self._from + share * (self._to - self._from), line.split(" (", maxsplit=1)[0])
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
