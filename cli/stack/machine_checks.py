"""What doctor looks at on the machine: programs, memory, namespaces, hypervisor, mirror."""

import getpass
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from activities.imaging.apt_sources import find_mirrors
from cli.stack.environment import ROOT
from cli.stack.findings import Check, Finding, bad, note, ok
from domain.errors import Fault
from infra.process import CommandError, run
from infra.settings import Settings

# Program and the Debian package it comes in; the launcher installs all of these.
_PROGRAMS: Final = {
    "libvirtd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "xorriso": "xorriso",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "grub-mkimage": "grub-common",
    "zstd": "zstd",
    "newuidmap": "uidmap",
    "ip": "iproute2",
    "iptables-restore": "iptables",
    "slirp4netns": "slirp4netns",
    "dnsmasq": "dnsmasq-base",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FIRMWARE: Final = (Path("/usr/share/OVMF"), Path("/usr/lib/grub/i386-pc"), Path("/usr/lib/grub/x86_64-efi"))
_APT_HELPER: Final = "/usr/lib/apt/apt-helper"
_GIBIBYTE: Final = 1 << 30
_MEMORY_NEEDED: Final = 3 * _GIBIBYTE
_SUBORDINATE_IDS: Final = 65536
_QUICK: Final = 10.0
_MIRROR_SECONDS: Final = 30.0


def machine_checks(settings: Settings) -> tuple[Check, ...]:
    """List them."""

    async def mirror() -> Finding:
        return await _mirror(settings)

    async def accelerator() -> Finding:
        return _accelerator(settings)

    checks = [
        Check(name="python", look=_python),
        Check(name="programs", look=_programs),
        Check(name="memory", look=_memory),
        Check(name="namespaces", look=_namespaces),
        Check(name="hypervisor", look=accelerator),
        Check(name="mirror", look=mirror),
    ]
    if os.geteuid() != 0:
        checks.insert(4, Check(name="subordinate ids", look=_subordinate_ids))
    return tuple(checks)


async def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (ROOT / ".venv" / ".prepared").exists():
        return note("python", f"Python {version}, in an environment that the launcher did not make")
    return ok("python", f"Python {version}, packages as locked")


async def _programs() -> Finding:
    absent = {package for program, package in _PROGRAMS.items() if shutil.which(program, path=_SYSTEM_PATH) is None}
    absent |= {package for path, package in zip(_FIRMWARE, _GRUB_AND_OVMF, strict=True) if not path.exists()}
    if not absent:
        return ok("programs", f"all {len(_PROGRAMS)} are there")
    names = " ".join(sorted(absent))
    return bad(
        "programs",
        f"programs of these Debian packages are missing: {names}",
        f"Run: apt-get install --no-install-recommends {names}",
    )


_GRUB_AND_OVMF: Final = ("ovmf", "grub-pc-bin", "grub-efi-amd64-bin")


async def _memory() -> Finding:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    message = f"{available / _GIBIBYTE:.1f} GiB available"
    if available < _MEMORY_NEEDED:
        return bad("memory", message, "A build with its test machine needs about 3 GiB: end other programs first.")
    return ok("memory", message)


async def _namespaces() -> Finding:
    users = [] if os.geteuid() == 0 else ["--map-root-user", "--map-auto"]
    argv = ["unshare", "--user", *users, "--mount", "--net", "--pid", "--fork", "--kill-child", "true"]
    try:
        await run(argv, timeout=_QUICK)
    except CommandError as error:
        return bad(
            "namespaces",
            f"user namespaces cannot be made: {error.problems[0].message}",
            "Allow them: sysctl kernel.unprivileged_userns_clone=1 and user.max_user_namespaces=10000; in a container, "
            "start it with leave to unshare.",
        )
    return ok("namespaces", "user, mount, network and process namespaces can be made")


async def _subordinate_ids() -> Finding:
    user = getpass.getuser()
    lacking = [name for name in ("subuid", "subgid") if not _has_range(Path("/etc") / name, user)]
    if lacking:
        return bad(
            "subordinate ids",
            f"{user} has no range of {_SUBORDINATE_IDS} ids in /etc/{' and /etc/'.join(lacking)}",
            f"Run: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
        )
    return ok("subordinate ids", f"{user} has some")


def _has_range(path: Path, user: str) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    ranges = [line.split(":") for line in lines if line.count(":") == 2]  # noqa: PLR2004 - subuid(5)
    return any(owner in (user, str(os.getuid())) and int(count) >= _SUBORDINATE_IDS for owner, _, count in ranges)


def _accelerator(settings: Settings) -> Finding:
    if settings.accelerator != "auto":
        return note("hypervisor", f"OPENFACTORY_ACCELERATOR says {settings.accelerator}")
    if not Path("/dev/kvm").exists():
        return note("hypervisor", "no /dev/kvm: machines are emulated, which works and is slow")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return note(
            "hypervisor", "/dev/kvm is not open to this account: machines are emulated", "Run: sudo adduser $USER kvm"
        )
    return note("hypervisor", "/dev/kvm is there; the first build boots a kernel to see if it works")


async def _mirror(settings: Settings) -> Finding:
    try:
        main = (await find_mirrors(settings)).main
        with tempfile.TemporaryDirectory() as folder:
            release = f"{main}dists/bookworm/InRelease"
            await run([_APT_HELPER, "download-file", release, f"{folder}/InRelease"], timeout=_MIRROR_SECONDS)
    except Fault as fault:
        return bad(
            "mirror",
            f"no Debian mirror answers: {fault.problems[0].message}",
            "Check the network and /etc/apt/sources.list, or set OPENFACTORY_MIRROR.",
        )
    return ok("mirror", "the Debian mirror of this host's apt answers")
