"""dnsmasq(8) for one bridge: addresses for the machines on it and, on an uplink, names. Kept running.

It is started by root, takes its sockets and goes on as `daemon`. It keeps no leases: every address is fixed.
"""

import asyncio
import contextlib
import logging
import pwd
import signal
import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from domain.model import Value
from domain.vm.names import PRIVATE_DOMAIN
from infra.netns.models import KnownName, Link
from infra.netns.plan import NAMESERVER

_ACCOUNT = "daemon"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_STEADY_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Service(Value):
    """What one dnsmasq serves. Without `resolves` it gives addresses only; with `egress` it asks further for names."""

    bridge: str
    subnet: IPv4Network
    resolves: bool
    egress: bool = False


def resolver_uid() -> int:
    """Whom dnsmasq runs as."""
    return pwd.getpwnam(_ACCOUNT).pw_uid


def arguments(service: Service, folder: Path) -> list[str]:
    """Make the argument list; `folder` holds the files `hosts` and `cards`."""
    common = (
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--log-facility=-",
        "--quiet-dhcp",
        f"--user={_ACCOUNT}",
        f"--group={_ACCOUNT}",
        f"--interface={service.bridge}",
        "--except-interface=lo",
        "--bind-interfaces",
        "--no-hosts",
        "--no-resolv",
        "--no-ping",
        "--leasefile-ro",
        "--dhcp-authoritative",
        "--dhcp-ignore-clid",
        f"--dhcp-range={service.subnet[1]},static,{service.subnet.netmask},infinite",
        f"--dhcp-hostsfile={folder / 'cards'}",
    )
    if not service.resolves:
        return [*common, "--port=0", "--dhcp-option=option:router", "--dhcp-option=option:dns-server"]
    names = (
        f"--domain={PRIVATE_DOMAIN}",
        f"--local=/{PRIVATE_DOMAIN}/",
        "--expand-hosts",
        "--domain-needed",
        "--bogus-priv",
        f"--addn-hosts={folder / 'hosts'}",
    )
    return [*common, *names, *([f"--server={NAMESERVER}"] if service.egress else [])]


class Dnsmasq:
    """Keeps one dnsmasq running until it is closed."""

    def __init__(self, service: Service, root: Path) -> None:
        self.service = service
        self._folder = root / service.bridge
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def tell(self, cards: Iterable[Link], names: Iterable[KnownName] = ()) -> None:
        """Write down the cards and names, and let a running dnsmasq read them; harmless to repeat."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        changed = _write(self._folder / "cards", (f"{c.mac},{c.address},infinite" for c in cards))
        changed |= _write(self._folder / "hosts", (f"{n.address} {' '.join(n.names)}" for n in names))
        if changed and self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        """Start it unless it was started; `tell` comes first."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"dnsmasq {self.service.bridge}")

    async def close(self) -> None:
        """End it and remove its files."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for name in ("cards", "hosts"):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._folder.rmdir()

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            self._process = await _spawn(arguments(self.service, self._folder))
            try:
                status = await self._process.wait()
            finally:
                await _end(self._process)
            steady = time.monotonic() - started > _STEADY_SECONDS
            pause = _FIRST_PAUSE if steady else min(pause * 2, _LONGEST_PAUSE)
            _log.error("dnsmasq of %s ended with status %s; starting it again", self.service.bridge, status)
            await asyncio.sleep(pause)


async def _spawn(argv: Sequence[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", "--", *argv, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # it has no state
        await process.wait()


def _write(path: Path, lines: Iterable[str]) -> bool:
    text = "".join(f"{line}\n" for line in lines)
    if path.exists() and path.read_text(encoding="ascii") == text:
        return False
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="ascii")
    new.chmod(0o644)
    new.replace(path)
    return True
