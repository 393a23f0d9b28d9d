"""A real Debian with systemd as its first process, in namespaces instead of a virtual machine.

It starts in seconds, so that the programs of the verification can be tried on a real system as often
as one likes. What namespaces cannot show (the kernel, a disk, DHCP) the end-to-end tests show.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

import pytest

from activities.machines.ports import GuestExec

PACKAGES = (
    *("init", "dbus", "systemd-resolved", "openssh-server", "openssh-client", "sudo", "nginx-light"),
    *("iproute2", "procps", "curl", "openssl", "ca-certificates"),
)
_SCRIPT = Path(__file__).with_name("start_system.sh")
_START_SECONDS = 60.0
_BUILD_SECONDS = 500


def cached_tree() -> Path:
    """The packed root file system, made once (about a minute) and kept in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openfactory-tests"
    packed = cache / f"bookworm-{'-'.join(PACKAGES[:3])}-{len(PACKAGES)}.tar"
    if packed.exists():
        return packed
    cache.mkdir(parents=True, exist_ok=True)
    making = packed.with_suffix(f".{os.getpid()}.tar")
    sources = [
        path
        for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.sources")))
        if path.is_file() and "bookworm" in path.read_text()
    ]
    packages = f"--include={','.join(PACKAGES)}"
    try:
        subprocess.run(
            ["mmdebstrap", "--mode=unshare", "--variant=minbase", packages, "bookworm", str(making), *sources[:1]],
            check=True,
            capture_output=True,
            timeout=_BUILD_SECONDS,
        )
        making.rename(packed)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"mmdebstrap failed:\n{error.stderr.decode(errors='replace')[-2000:]}")
    finally:
        making.unlink(missing_ok=True)
    return packed


class DebianSystem:
    """The guest's side of the machine port, on the running system."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109
        process = await asyncio.create_subprocess_exec(
            *self._enter(argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), timeout)
        status = process.returncode or 0
        return GuestExec(status=status if status >= 0 else 128 - status, stdout=out, stderr=err)  # as a shell tells it

    def guest(self, job_id: str, artifact: str) -> "DebianSystem":
        return self

    def shell(self, script: str) -> str:
        """Prepare something by hand; fails the test if it does not work."""
        return self._do(["sh", "-ec", script])

    def _do(self, argv: Sequence[str]) -> str:
        done = subprocess.run(self._enter(argv), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def up(self) -> bool:
        done = subprocess.run(
            self._enter(["systemctl", "is-system-running"]), capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout.strip() in {"running", "degraded"}

    def _enter(self, argv: Sequence[str]) -> list[str]:
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd")
        return ["nsenter", "--target", str(self.pid), *namespaces, "--", *argv]


@contextlib.contextmanager
def debian_system(folder: Path) -> Generator[DebianSystem]:
    """Start the system; leaving the context ends it with everything it made."""
    tree = folder / "tree"
    tree.mkdir()
    subprocess.run(["tar", "-xf", cached_tree(), "-C", tree, "--exclude=./dev/*"], check=True)
    (tree / "etc/machine-id").write_text("")
    said = folder / "start.log"
    with _own_cgroup() as cgroup, said.open("wb") as log:
        started = _start(tree, cgroup, log)
        try:
            yield _wait(started, said)
        finally:
            # unshare(1) does not hear SIGTERM; its end takes the first process, and that all others, with it.
            started.kill()
            started.wait()
            shutil.rmtree(tree, ignore_errors=True)


def _start(tree: Path, cgroup: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child=KILL")
    join = 'echo $$ > "$1/cgroup.procs"; shift; exec unshare "$@"'
    arguments = [*namespaces, "--propagation", "private", "--", "sh", str(_SCRIPT), str(tree)]
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-ec", join, "sh", str(cgroup), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
    )


def _wait(started: subprocess.Popen[bytes], said: Path) -> DebianSystem:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if started.poll() is not None:
            pytest.fail(f"the system did not start:\n{said.read_text()[-2000:]}")
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        if children and (system := DebianSystem(int(children[0]))).up():
            return system
        time.sleep(0.2)
    pytest.fail("the system did not come up in time")


@contextlib.contextmanager
def _own_cgroup() -> Generator[Path]:
    """A control group for the system alone, so that its systemd manages no other."""
    top = Path("/sys/fs/cgroup")
    own = (top / "systemd" if (top / "systemd").is_dir() else top) / f"openfactory-test-{os.getpid()}"
    try:
        own.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield own
    finally:
        _remove_cgroup(own)


def _remove_cgroup(own: Path) -> None:
    deadline = time.monotonic() + 10
    while own.exists() and time.monotonic() < deadline:
        for folder, _, files in os.walk(own, topdown=False):
            if "cgroup.procs" in files:
                for pid in Path(folder, "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.1)


@contextlib.contextmanager
def network(system: DebianSystem) -> Generator[None]:
    """Give the system a wire to a gateway that answers, as QEMU's user networking would."""
    gateway = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--net", "sleep", "infinity"])
    try:
        outside = ["nsenter", "--target", str(gateway.pid), "--net", "--", "ip"]
        _until_unshared(gateway.pid)
        wire = f"link add up0 type veth peer name eth0 netns {system.pid}"
        for command in (wire, "address add 10.0.2.2/24 dev up0", "link set up0 up"):
            subprocess.run([*outside, *command.split()], check=True, timeout=20)
        system.shell("ip link set eth0 up; ip address add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2")
        system.shell("resolvectl dns eth0 10.0.2.3")
        yield
    finally:
        gateway.kill()
        gateway.wait()


def _until_unshared(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        assert time.monotonic() < deadline, "unshare did not start"
        time.sleep(0.02)
