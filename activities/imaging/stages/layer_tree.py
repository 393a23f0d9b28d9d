"""The tree of a layer: where it is made, how it is unpacked, mounted, cleaned and packed.

Everything happens at fixed paths below /mnt of the stage's own mount namespace, so no path of the
factory can get into a layer. Nothing is unmounted on failure: the namespace ends with the stage.
"""

import os
import shutil
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from activities.imaging.layers_plans import LayerPlan
from activities.imaging.stages.frame import Stage
from domain.errors import Fault
from infra.process import CommandError

ROOT = Path("/mnt/root")
REPOSITORY = Path("/mnt/repository")
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
# What is left over from making the tree, or must differ in every machine made from it.
_REMOVED = (
    "etc/ssh/ssh_host_*",
    "etc/*-",
    "etc/.pwd.lock",
    "initrd.img.old",
    "root/.bash_history",
    "run/*",
    "tmp/*",
    "tmp/.[!.]*",
    "var/backups/*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/apt/*",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/tmp/*",
    "vmlinuz.old",
)
_SOURCES = ("etc/apt/sources.list", "etc/apt/sources.list.d/*")
_TAR_PACK = (
    "--clamp-mtime",
    "--numeric-owner",
    "--format=posix",
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    "--xattrs",
    "--xattrs-include=*",
    "--exclude=./dev/*",
)
# Two workers whatever the host has: the number of jobs must not show in the bytes.
_COMPRESS = "zstd -1 -T2 -q"


async def make_root(plan: LayerPlan, stage: Stage) -> None:
    """Make `ROOT`, an empty folder in memory or on disk as the plan says."""
    await _mount(stage, "tmpfs", "/mnt", "mode=0755,size=1m")
    ROOT.mkdir()
    if plan.scratch_bytes is not None:
        await _mount(stage, "tmpfs", str(ROOT), f"mode=0755,size={plan.scratch_bytes}")
    else:
        folder = plan.work / "root"
        folder.mkdir(mode=0o755)
        await stage.run("mount", "--bind", folder, ROOT)


async def bind_repository(source: Path, stage: Stage, target: Path = REPOSITORY) -> None:
    """Show the flat repository at `target`, read-only."""
    target.mkdir(parents=True, exist_ok=True)
    await stage.run("mount", "--bind", source, target)
    await stage.run("mount", "-o", "remount,bind,ro", target)


async def unpack(parent: Path, stage: Stage) -> None:
    """Unpack a layer into `ROOT`; device nodes are the running system's business."""
    options = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--exclude=./dev/*")
    await stage.run("tar", "--extract", "--file", parent, "--directory", ROOT, *options)


async def mount_system(stage: Stage) -> None:
    """Give the tree what maintainer scripts expect, and nothing with which they could change the host."""
    await _mount(stage, "proc", str(ROOT / "proc"), "nosuid,nodev,noexec")
    sysctl = ROOT / "proc/sys"
    await stage.run("mount", "--bind", sysctl, sysctl)
    await stage.run("mount", "-o", "remount,bind,ro", sysctl)
    try:
        await _mount(stage, "sysfs", str(ROOT / "sys"), "ro,nosuid,nodev,noexec")
    except CommandError:
        stage.line("This host does not let the build see /sys; going on without.")
    await _mount(stage, "tmpfs", str(ROOT / "run"), "mode=0755,nosuid,nodev")
    await _make_devices(stage)


async def _make_devices(stage: Stage) -> None:
    dev = ROOT / "dev"
    await _mount(stage, "tmpfs", str(dev), "mode=0755,size=1m")
    for name in _NODES:
        (dev / name).touch()
        await stage.run("mount", "--bind", f"/dev/{name}", dev / name)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    await _mount(stage, "devpts", str(dev / "pts"), "newinstance,ptmxmode=0666,mode=0620")
    await _mount(stage, "tmpfs", str(dev / "shm"), "mode=1777")


async def unmount_system(stage: Stage) -> None:
    """Take away what `mount_system` gave, and end whatever a script left running."""
    if os.getpid() == 1:  # kill(2): all others of this PID namespace
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    for name in ("dev", "run", "sys", "proc"):
        if (ROOT / name).is_mount():
            await stage.run("umount", "--recursive", "--lazy", ROOT / name)


@contextmanager
def inside_root() -> Generator[None]:
    """Make `ROOT` this process's own root for a while: no link in the tree can lead out of it (chroot(2)).

    Whatever Python still wants to import has to be imported before.
    """
    outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chroot(ROOT)
        os.chdir("/")
        yield
    finally:
        os.fchdir(outside)
        os.chroot(".")
        os.close(outside)


def scrub(*, sources: bool = True) -> None:
    """Remove what must not be in an image; `sources` too, until it has its own."""
    with inside_root():
        for pattern in (*_REMOVED, *(_SOURCES if sources else ())):
            for path in Path("/").glob(pattern):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        for path in Path("/var/log").rglob("*"):
            if path.is_file() and path.stat().st_size:
                os.truncate(path, 0)
        if not (resolver := Path("/etc/resolv.conf")).is_symlink():
            resolver.unlink(missing_ok=True)
        _blank_machine_id()


def _blank_machine_id() -> None:
    """Empty, so that each machine makes its own at boot (machine-id(5))."""
    identity = Path("/etc/machine-id")
    identity.unlink(missing_ok=True)
    identity.touch(mode=0o444)
    dbus = Path("/var/lib/dbus/machine-id")
    if dbus.is_file() and not dbus.is_symlink():
        dbus.unlink()


async def pack(plan: LayerPlan, stage: Stage) -> None:
    """Pack the tree so that equal trees give equal bytes (tar(1), reproducibility)."""
    os.utime(ROOT / "dev", (plan.epoch, plan.epoch))  # nodes were made in it, or not: that depends on who builds
    await _tar(plan, stage, f"--use-compress-program={_COMPRESS}", "--sort=name", "--one-file-system", ".")


async def pack_changes(plan: LayerPlan, names: Sequence[str], stage: Stage) -> None:
    """Pack these entries, which are `stages.difference`'s, in the same manner; uncompressed, for they are few."""
    chosen = ("--no-recursion", "--null", "--files-from=-")
    await _tar(plan, stage, *chosen, stdin="".join(f"{name}\0" for name in names).encode(errors="surrogateescape"))


async def _tar(plan: LayerPlan, stage: Stage, *what: str, stdin: bytes | None = None) -> None:
    words = ("--create", "--file", plan.output, "--directory", ROOT, f"--mtime=@{plan.epoch}", *_TAR_PACK)
    await stage.run("tar", *words, *what, stdin=stdin)


async def require_packages(expected: tuple[str, ...], stage: Stage) -> None:
    """Make sure that just the locked packages are there and configured.

    Raises:
        Fault: `layer.unexpected_packages`.

    """
    form = "${Package}=${Version} ${db:Status-Status}\\n"
    text = await stage.ask("dpkg-query", f"--admindir={ROOT / 'var/lib/dpkg'}", "--show", f"--showformat={form}")
    found = set(text.splitlines())
    wanted = {f"{name} installed" for name in expected}
    if found != wanted:
        raise Fault.because(
            "layer.unexpected_packages",
            f"The tree differs from the lock: {sorted(found ^ wanted)[:10]}",
            next="Retry; if it happens again, report it with the step's log.",
        )


async def _mount(stage: Stage, kind: str, target: str, options: str) -> None:
    await stage.run("mount", "-t", kind, "-o", options, kind, target)
