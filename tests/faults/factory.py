"""The laboratory's factory: the product's own supervisor, servers and parts, with quick work on the host."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from activities.imaging.apt_sources import find_mirrors
from infra import settings as configuration
from tests.e2e.stack import Stack
from tests.faults.network import Mirror, ObjectStoreProxy
from tests.faults.quick.environment import PROXY, REAL
from tests.faults.quick.orders import Orders, orders_file
from tests.invariants import is_machine
from tests.ports import free_port

PARTS = ("core-worker", "host-worker", "projector", "mcp", "gateway")
SERVERS = ("temporal", "postgres", "s3")
DISKS = {"host": ".", "objects": "s3", "database": "postgres"}
_DISK_MIB = {"host": 900, "objects": 400, "database": 400}
_REAL_DISK_MIB = {"host": 5000, "objects": 4000, "database": 400}
_LAST_BYTES = 16 << 20  # of a full disk, taken bit by bit


class QuickStack(Stack):
    """A factory that is started by `tests.faults.quick.up`."""

    def command(self, *words: str) -> list[str]:
        """The command line of this factory."""
        if words == ("up",):
            return [sys.executable, "-m", "tests.faults.quick.up"]
        return super().command(*words)


class Laboratory:
    """A factory, its small disks, and what lies between it and the world.

    A `real` one has no quick builder: its builds and machines are real, as are its limits and its mirror. Its disks
    are small only with `disks`, because their content, all layers among it, goes with them. `busy` is for how
    many seconds operations are under way, among which the moment of a fault is chosen, `held` for how many a disk
    stays full or the object store damaged; `patience` is how long an operation may take, and `machine_within` in what
    time one of them has a machine.
    """

    def __init__(self, home: Path, *, real: bool = False, disks: bool = True) -> None:
        self.home = home
        self.real = real
        self._disks = disks
        self.busy = 30.0 if real else 4.0
        self.held = 15.0 if real else 4.0
        self.patience = 1800.0 if real else 180.0
        self.point_within = 300.0 if real else 15.0
        self.machine_within = 240.0 if real else 10.0
        self.proxy = ObjectStoreProxy(lambda: self.port("s3"))
        self.mirror = Mirror()
        self._stack: QuickStack | None = None

    def beyond_heartbeat(self, part: str) -> float:
        """Tell for how many seconds a part is to stand still until it is given up.

        What the core worker does are local activities: their limit is that of a workflow task, 10 s unless somebody
        says otherwise (docs.temporal.io, detecting workflow failures), whatever the heartbeat's is.
        """
        if self.real:
            return 25.0
        return 13.0 if part == "core-worker" else 9.0

    @property
    def stack(self) -> QuickStack:
        """The running factory."""
        assert self._stack is not None
        return self._stack

    def port(self, name: str) -> int:
        """A port of one of its servers."""
        return int(json.loads((self.home / "run" / "ports.json").read_bytes())[name])

    async def start(self) -> None:
        """Mount the disks and start everything."""
        self._mount()
        (self.home / "lab").mkdir(exist_ok=True)
        await self.proxy.start()
        await self.mirror.start()
        environ = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            PROXY: f"http://127.0.0.1:{self.proxy.port}",
            **(await self._real() if self.real else self._quick()),
        }
        self._stack = QuickStack(self.home, free_port(), environ)
        await asyncio.to_thread(self.stack.start)

    async def _real(self) -> dict[str, str]:
        found = await find_mirrors(configuration.load())
        self.mirror.archives = {"main": found.main, **({"security": found.security} if found.security else {})}
        names = {"main": "OPENFACTORY_MIRROR", "security": "OPENFACTORY_SECURITY_MIRROR"}
        return {REAL: "1", **{names[one]: f"http://127.0.0.1:{self.mirror.port}/{one}" for one in self.mirror.archives}}

    def _quick(self) -> dict[str, str]:
        return {
            "OPENFACTORY_ACCELERATOR": "tcg",
            "OPENFACTORY_GUESTS": "on",
            "OPENFACTORY_LIBVIRT_URI": "quick:///",
            "OPENFACTORY_MIRROR": f"http://127.0.0.1:{self.mirror.port}",
        }

    async def stop(self) -> None:
        """Stop everything and unmount."""
        if self._stack is not None and self._stack.process is not None and self._stack.process.poll() is None:
            await asyncio.to_thread(self._stack.stop)
        await self.proxy.stop()
        await self.mirror.stop()
        self._unmount()

    async def ready(self, *parts: str, seconds: float = 90.0) -> None:
        """Wait until parts are ready (none named: all)."""
        deadline = time.monotonic() + seconds
        wanted = parts or (*PARTS, *SERVERS, *(("libvirt",) if self.real else ()))
        while True:
            state = self.stack.state()
            known = {p.name: p.condition for p in state.parts} if state is not None else {}
            missing = {name: known.get(name) for name in wanted if known.get(name) != "ready"}
            if not missing:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready after {seconds} s: {missing}")
            await asyncio.sleep(0.05)

    def pid(self, part: str) -> int | None:
        """The process of a part, if it has one now."""
        state = self.stack.state()
        return next((p.pid for p in state.parts if p.name == part), None) if state is not None else None

    def signal(self, part: str, number: signal.Signals) -> bool:
        """Send a signal to a part; answers whether there was one to hear it."""
        pid = self.pid(part)
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def order(self, part: str, orders: Orders) -> None:
        """Tell a part what it is to suffer from its next start on."""
        orders_file(self.home, part).write_text(orders.model_dump_json(), encoding="utf-8")

    def countermand(self, part: str) -> None:
        """Let a part be as it should be from its next start on."""
        for suffix in (".json", ".done"):
            orders_file(self.home, part).with_suffix(suffix).unlink(missing_ok=True)

    def obeyed(self, part: str) -> bool:
        """Whether a part has died as ordered."""
        return orders_file(self.home, part).with_suffix(".done").exists()

    async def restart(self, part: str) -> None:
        """Kill a part and wait until another is there and ready."""
        before = self.pid(part)
        self.signal(part, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while self.pid(part) in (before, None) and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        await self.ready(part)

    async def crash(self) -> None:
        """Kill everything at once, as a power cut does, and start again."""
        state = self.stack.state()
        pids = [p.pid for p in state.parts if p.pid is not None] if state is not None else []
        assert self.stack.process is not None
        for pid in (self.stack.process.pid, *pids, *guests(self.home)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self.stack.process.wait)
        await asyncio.to_thread(self.stack.start)

    def fill(self, disk: str, *, leave: int = 0) -> None:
        """Leave so many bytes free on a disk."""
        if not os.path.ismount(self.home / DISKS[disk]):
            raise RuntimeError("only root can mount the laboratory's disks, and no other disk is filled")
        most = shutil.disk_usage(self.home / DISKS[disk]).free - (leave or _LAST_BYTES)
        with contextlib.suppress(OSError), (self.home / DISKS[disk] / "filling").open("wb") as file:
            if most > 0:
                os.posix_fallocate(file.fileno(), 0, most)
                file.seek(most)
            while not leave:
                file.write(bytes(1 << 16))
                file.flush()

    def fill_up(self, disk: str) -> None:
        """Take what has come free again."""
        with contextlib.suppress(OSError), (self.home / DISKS[disk] / "filling").open("ab") as file:
            while True:
                file.write(bytes(1 << 12))
                file.flush()

    def kill_process(self, pid: int) -> None:
        """Kill a process of a machine."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def free(self, disk: str) -> None:
        """Give the space back."""
        (self.home / DISKS[disk] / "filling").unlink(missing_ok=True)

    def _mount(self) -> None:
        self._unmount()
        self.home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0 or not self._disks:
            return  # without small disks; to fill one is then refused
        for disk, name in DISKS.items():
            folder = self.home / name
            folder.mkdir(exist_ok=True)
            size = f"size={(_REAL_DISK_MIB if self.real else _DISK_MIB)[disk]}m,mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, f"lab-{disk}", str(folder)], check=True)

    def _unmount(self) -> None:
        for name in reversed(DISKS.values()):
            folder = self.home / name
            while os.path.ismount(folder):
                subprocess.run(["umount", "-l", str(folder)], check=True)


def guests(home: Path) -> list[int]:
    """The processes that are machines of a home, or stand for them."""
    found: list[int] = []
    mark = f"{home}/libvirt/quick/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes()
                program = argv.split(b"\0")[0]
                stands_for_one = b"unshare" in program and mark in argv
                if stands_for_one or is_machine(argv.decode(errors="replace").split("\0"), entry, home):
                    found.append(int(entry.name))
    return found


@asynccontextmanager
async def laboratory(home: Path, *, real: bool = False, disks: bool = True) -> AsyncGenerator[Laboratory]:
    """Run a laboratory at `home`; nothing runs and nothing is mounted afterwards."""
    lab = Laboratory(home, real=real, disks=disks)
    try:
        await lab.start()
        yield lab
    finally:
        await lab.stop()
