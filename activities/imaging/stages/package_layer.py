"""The recipe's packages, installed by the image's own apt from the locked files, without a network."""

import re
import sys
from collections import deque
from collections.abc import Iterable

from activities.imaging.layers_plans import PackagePlan
from activities.imaging.stages.assembly_stage import Stage
from activities.imaging.stages.layer_stage import main
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
from domain.errors import Verdict
from infra.process import CommandError, OnLine

_STATUS = re.compile(
    r"^pmstatus:(?P<package>[^:]+):(?P<percent>[0-9.]+):(?P<text>.*)$"
)  # apt, README.progress-reporting
_FAILED = re.compile(r"^(?:dpkg: error processing (?:package|archive) )(?P<package>\S+)")
_NOISE = re.compile(r"^(?:pmstatus|dlstatus|media-change):|^\(Reading database")
_POLICY = "usr/sbin/policy-rc.d"
_MOUNTED = "run/repository"  # in the tree; /run is gone when the tree is packed
_INSTALL_SHARE = 0.6
_TAIL = 60
_SHOWN = 12
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
        *("-o", "APT::Sandbox::User=root", "-o", "APT::Status-Fd=1", "-o", "Dpkg::Options::=--force-unsafe-io"),
        *("-o", "APT::Install-Recommends=false", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Color=0"),
    )
    await _in_tree(stage, "apt-get", *apt, "update")
    tail: deque[str] = deque(maxlen=_TAIL)

    def follow(line: str) -> None:
        if match := _STATUS.match(line):
            stage.progress(10 + float(match["percent"]) * _INSTALL_SHARE, match["text"])
        elif not _NOISE.match(line):
            tail.append(line)
            stage.line(line)

    try:
        await _in_tree(stage, "apt-get", *apt, "install", "--", *plan.targets, on_line=follow)
    except CommandError as error:
        raise _failed(tail, error) from error
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


def _failed(tail: Iterable[str], error: CommandError) -> Verdict:
    lines = list(tail)
    names = list(dict.fromkeys(m["package"] for line in lines if (m := _FAILED.match(line))))
    name = names[0].rsplit("/", 1)[-1].split("_")[0].split(":")[0] if names else None
    shown = "\n".join(lines[-_SHOWN:]) or str(error)
    return Verdict.because(
        "package.install_failed",
        f"{name or 'A package'} could not be installed:\n{shown}",
        value=name,
        next="Remove the package from the recipe or replace it; the step's log has its whole output.",
    )


if __name__ == "__main__":
    sys.exit(main(PackagePlan, work))
