"""A libvirtd of our own for one home, in namespaces of its own.

`command(home)` is what a supervisor runs. The process it gets stays outside (`infra.netns.outside`) and starts
the keeper in here, which makes the mounts, starts libvirtd, the switchboard of the machines' networks
(`infra.netns.switchboard`) and the last fence around the VMs (`infra.fence`), starts each again when it dies,
and ends at SIGTERM.

- Mount namespace: the home's folders lie where libvirt expects its own, so two homes and a libvirtd of
  the host never see each other's files (`infra.libvirt_paths`).
- Network namespace with its loopback down and no route for what it sends itself: what a guest with QEMU's
  user-mode network asks of 10.0.2.2 is asked by QEMU in here, where there is nothing. Machines with links of
  their own are the switchboard's (docs/adr/0007-guest-networks.md).
- PID namespace: libvirtd and every QEMU live in it. A libvirtd that is killed is replaced and finds its
  machines again; when the keeper ends, in whatever way, the kernel ends all of them. A supervisor that has
  time to spare calls `infra.libvirt_client.destroy_all` first, so that the machines' ends are recorded.
- User namespace when not started by root, with the caller's subordinate ids (subuid(5)).

The keeper is not written with asyncio: a process whose children go to another PID namespace cannot make
threads (unshare(2)), and asyncio in Python 3.11 waits for children in threads. So it uses `subprocess`.
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import NoReturn

from infra.libvirt_paths import LibvirtPaths, QemuUser, qemu_user

_STOP_SECONDS = 5.0
_QUICK_DEATH_SECONDS = 5.0
_QUICK_DEATHS = 5
_PAUSE_SECONDS = 0.2
_SWITCHBOARD = "infra.netns.switchboard"  # by name: it is a program of its own
_FENCE = "infra.fence"
_DRIVERS = "drivers"
_INSIDE_DRIVERS = PurePosixPath("/run/libvirt") / _DRIVERS
_log = logging.getLogger(__name__)


def command(home: Path) -> list[str]:
    """Make the argument list that runs the private libvirtd of `home` in the foreground.

    SIGTERM ends it within `_STOP_SECONDS`, and it ends with its parent (PR_SET_PDEATHSIG).
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "infra.netns.outside", str(home)]


def keeper_command(home: Path) -> list[str]:
    """Make the argument list of the keeper in its namespaces; it, too, ends with its parent."""
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
    namespaces = ["--mount", "--net", "--pid", *users, "--propagation", "private"]
    keeper = [sys.executable, "-m", "infra.libvirt_daemon", str(home)]
    if os.geteuid() != 0:
        # Inside it is root; the accounts have to be those that the outside chose.
        keeper.append("--unprivileged")
    return ["unshare", *namespaces, "--", "setpriv", "--pdeathsig", "KILL", "--", *keeper]


def prepare(paths: LibvirtPaths, user: QemuUser) -> None:
    """Make the folders and the configuration, and remove what a killed daemon left; harmless to repeat."""
    paths.root.mkdir(parents=True, exist_ok=True)
    paths.root.chmod(0o700)
    paths.store.mkdir(exist_ok=True)
    for folder in (*(source for source, _ in paths.binds), paths.machines, paths.sockets, paths.root / "lib/images"):
        folder.mkdir(parents=True, exist_ok=True)
        # QEMU has to pass through each of them inside the namespace; outside, the root folder is shut.
        folder.chmod(0o755)
    for stale in (*paths.socket.parent.glob("libvirt-*sock*"), paths.socket.parent / "libvirtd.pid"):
        stale.unlink(missing_ok=True)
    for child in (paths.root / "run" / "qemu").glob("*.xml"):
        # The machines of an earlier keeper ended with it: their status files speak of process ids of others.
        child.unlink()
    _link_drivers(paths)
    (paths.root / "etc" / "libvirtd.conf").write_text(_DAEMON_CONF)
    (paths.root / "etc" / "qemu.conf").write_text(_QEMU_CONF.format(user=user.name, group=user.group))


def _link_drivers(paths: LibvirtPaths) -> None:
    """Give the daemon the QEMU driver alone: no virtual networks, storage pools, device or firewall drivers."""
    folder = paths.root / "run" / _DRIVERS
    folder.mkdir(exist_ok=True)
    name = "libvirt_driver_qemu.so"
    (folder / name).unlink(missing_ok=True)
    for pattern in ("lib/*/libvirt", "lib64/libvirt"):
        for library in Path("/usr").glob(f"{pattern}/connection-driver/{name}"):
            (folder / name).symlink_to(library)
            return
    message = f"there is no {name} on this host: install libvirt-daemon-driver-qemu"
    raise SystemExit(message)


# Errors only, on standard error, which the supervisor keeps. Nobody but this home's account may connect.
_DAEMON_CONF = """\
unix_sock_dir = "/run/libvirt"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
unix_sock_admin_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_level = 3
log_outputs = "3:stderr"
max_client_requests = 20
"""

# No security driver, no namespace per machine and no change of owner: the keeper's own namespaces and the
# QEMU account do that, and a blob of the store must never be touched. See /etc/libvirt/qemu.conf.
_QEMU_CONF = """\
security_driver = "none"
security_default_confined = 0
security_require_confined = 0
user = "{user}"
group = "{group}"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
max_core = 0
dump_guest_core = 0
set_process_name = 1
clear_emulator_capabilities = 1
seccomp_sandbox = 1
vnc_allow_host_audio = 0
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the keeper; only ever started by `command`, inside the namespaces it asks for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    unprivileged = "--unprivileged" in arguments
    home = Path(next(a for a in arguments if not a.startswith("--")))
    user = QemuUser(name="root", group="root", uid=0, gid=0) if unprivileged else qemu_user()
    paths = LibvirtPaths(home=home)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    paths.root.mkdir(parents=True, exist_ok=True)
    lock = (paths.root / "lock").open("w")  # held for as long as the keeper lives
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"another process runs the libvirt of {home} already"
        raise SystemExit(message) from None
    prepare(paths, user)
    # The first child is the PID namespace's init. It ignores SIGCHLD, so the kernel reaps QEMUs for it.
    init = _start(["env", "--ignore-signal=CHLD", "sleep", "infinity"])
    try:
        _mount_all(paths, user, unprivileged=unprivileged)
        _keep(init.pid)
    finally:
        init.kill()
        init.wait()
    sys.exit(1)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _start(argv: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    own = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
    return subprocess.Popen(own, stdin=subprocess.DEVNULL, env=environment, cwd="/")  # noqa: S603 - argv of our own


class _Kept:
    """A program that is started again when it dies; `quick` counts its early deaths in a row."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._argv = argv
        self._environment = environment
        self._started = 0.0
        self.quick = 0
        self.process = self._start()

    def again(self) -> None:
        """Start it once more, a little later each time."""
        status = self.process.wait()
        self.quick = self.quick + 1 if time.monotonic() - self._started < _QUICK_DEATH_SECONDS else 1
        _log.error("%s ended with status %s; starting it again", " ".join(self._argv), status)
        time.sleep(min(self.quick - 1, _QUICK_DEATHS) * _PAUSE_SECONDS)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        return _start(self._argv, self._environment)


def _keep(init: int) -> None:
    """Run libvirtd, for as long as it does not die at once again and again, and the switchboard."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LIBVIRT_DRIVER_DIR": str(_INSIDE_DRIVERS)}
    daemon = _Kept(["libvirtd", "--pid-file", "/run/libvirt/libvirtd.pid"], environment)
    root = str(Path(__file__).resolve().parents[1])
    switchboard = _Kept([sys.executable, "-m", _SWITCHBOARD], {**os.environ, "PYTHONPATH": root})
    fence = _Kept([sys.executable, "-m", _FENCE], {**os.environ, "PYTHONPATH": root})
    try:
        while daemon.quick < _QUICK_DEATHS:
            # Only looked at here: whose it is reaps it.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            pid = None if ended is None else ended.si_pid
            if pid == daemon.process.pid:
                daemon.again()
            elif pid == switchboard.process.pid:
                switchboard.again()  # for as long as it takes: without it images can still be built
            elif pid == fence.process.pid:
                fence.again()
            elif pid == init:
                return
    finally:
        _end(daemon.process)
        _end(switchboard.process)
        _end(fence.process)
    _log.error("libvirtd ended %s times within %.0f s each; giving up", _QUICK_DEATHS, _QUICK_DEATH_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    process.kill()
    process.wait()


def _mount_all(paths: LibvirtPaths, user: QemuUser, *, unprivileged: bool) -> None:
    # An empty /run: without the host's bus libvirt asks neither systemd-machined nor polkit, where homes would meet.
    _mount("-t", "tmpfs", "-o", "mode=0755,size=16m", "tmpfs", "/run")
    for source, target in paths.binds:
        Path(target).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(source), str(target))
    _mount("-o", "remount,bind,ro", str(paths.binds[-1][1]))
    if not unprivileged:
        _unmount_cgroups()
        _grant_kvm(paths, user)
    # Last, because this process is not in the PID namespace: in its children's /proc it has no entry.
    _mount("-t", "proc", "proc", "/proc")


def _unmount_cgroups() -> None:
    """Leave libvirt no cgroup to manage: the limits of a machine are those of its own definition."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [fields[1] for fields in (line.split() for line in mounts) if fields[2] in {"cgroup", "cgroup2"}]
    for point in reversed(points):
        subprocess.run(["umount", "--lazy", point], check=False)  # noqa: S603, S607 - a path from the kernel


def _grant_kvm(paths: LibvirtPaths, user: QemuUser) -> None:
    """Let the QEMU account open /dev/kvm in here, also where no udev has set the device's group."""
    device = Path("/dev/kvm")
    if not device.exists():
        return
    numbers = device.stat().st_rdev
    folder = paths.root / "run" / "dev"
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=0755,size=64k", "tmpfs", str(folder))
    copy = folder / "kvm"
    os.mknod(copy, 0o20600, numbers)
    os.chown(copy, user.uid, user.gid)
    _mount("--bind", str(copy), str(device))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S603, S607 - paths of our own


if __name__ == "__main__":
    main()
