"""What must hold whatever happened: nothing of a job is left on the host. One function, used everywhere."""

import time
from pathlib import Path

import libvirt

GRACE_SECONDS = 60.0


def leftovers(home: Path) -> list[str]:
    """Name every machine, machine file, mount, workspace and builder process that is still there."""
    return [*_machines(home), *_workspaces(home), *_mounts(home), *_processes(home)]


def assert_nothing_left(home: Path, *, within: float = GRACE_SECONDS) -> None:
    """Wait until nothing is left, at most `within` seconds."""
    deadline = time.monotonic() + within
    found = leftovers(home)
    while found and time.monotonic() < deadline:
        time.sleep(0.5)
        found = leftovers(home)
    assert not found, found


def _machines(home: Path) -> list[str]:
    socket = home / "libvirt" / "run" / "libvirt-sock"
    if not socket.exists():
        return []
    connection = libvirt.open(f"qemu:///system?socket={socket}")
    try:
        return [f"domain {d.name()}" for d in connection.listAllDomains()]
    finally:
        connection.close()


def _workspaces(home: Path) -> list[str]:
    folders = [home / "tmp", home / "libvirt" / "lib" / "machines"]
    return [f"file {entry}" for folder in folders if folder.is_dir() for entry in folder.iterdir()]


def _mounts(home: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [f"mount {line}" for line in lines if str(home) in line.split()[4]]


def _processes(home: Path) -> list[str]:
    """Builders that name the home in their arguments, and machines that see its folders; servers do not count."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if _is_builder(argv, home) or _is_machine(argv, entry, home):
                found.append(f"process {entry.name}: {' '.join(argv)[:200]}")
        except OSError:
            continue
    return found


def _is_builder(argv: list[str], home: Path) -> bool:
    tools = ("mmdebstrap", "unshare", "mksquashfs", "xorriso", "mke2fs", "apt-get", "tar")
    working = any(tool in argv[0] for tool in tools) or any("activities.imaging.stages" in word for word in argv)
    return working and f"{home}/tmp" in " ".join(argv)


def _is_machine(argv: list[str], process: Path, home: Path) -> bool:
    """A machine's arguments name the folders as they are inside its namespace; the mounts tell whose they are."""
    if "qemu-system" not in argv[0]:
        return False
    roots = [line.split()[3] for line in (process / "mountinfo").read_text(encoding="utf-8").splitlines()]
    return any(root.endswith(f"{home.parent.name}/{home.name}/libvirt/lib") for root in roots)
