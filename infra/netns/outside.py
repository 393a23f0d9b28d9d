"""The part of a home's libvirt that stays outside its namespaces: the way out for guests, and its watchman.

It starts the keeper (`infra.libvirt_daemon`) in its namespaces and ends with it. Beside it runs slirp4netns(1),
which makes connections on the host for what comes out of the namespace's tap, needs no privilege for that and
changes nothing on the host. It is started only when the packet filter inside is closed and knows the host's
addresses; each change of them is passed on at once (rtnetlink(7)).
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Generator, Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from typing import NoReturn

from domain.errors import FactoryError
from infra.libvirt_daemon import keeper_command
from infra.libvirt_paths import LibvirtPaths
from infra.netns import client
from infra.netns.firewall import TAP
from infra.netns.models import Surroundings
from infra.netns.plan import SLIRP
from infra.process import run
from infra.settings import load

_STOP_SECONDS = 5.0
_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_RESYNC_SECONDS = 30.0
_QUICK = 10.0
_RTMGRP_IPV4_IFADDR = 0x10  # linux/rtnetlink.h
_SLIRP4NETNS = "slirp4netns"
_log = logging.getLogger(__name__)


def slirp_command(keeper: int, exit_fd: int, *, own_users: bool) -> list[str]:
    """Make the argument list that attaches to the namespace's tap. It ends when `exit_fd` is hung up."""
    # By process it joins the user namespace, too, and as an ordinary user it makes its sandbox there.
    where = [str(keeper)] if own_users else ["--netns-type=path", f"/proc/{keeper}/ns/net"]
    return [
        _SLIRP4NETNS,
        f"--cidr={SLIRP}",
        "--mtu=1500",
        "--disable-host-loopback",
        "--enable-sandbox",
        "--enable-seccomp",
        f"--exit-fd={exit_fd}",
        *where,
        TAP,
    ]


async def surroundings(allowed: Sequence[str]) -> Surroundings:
    """Look at the host's addresses and the links that it is on.

    Raises:
        Fault: `command.…`.

    """
    answer = await run(["ip", "-json", "-4", "address", "show"], timeout=_QUICK)
    own, links = set[str](), set[str]()
    for link in json.loads(answer.stdout or b"[]"):
        for info in link.get("addr_info", ()):
            interface = IPv4Interface(f"{info['local']}/{info['prefixlen']}")
            own.add(f"{interface.ip}/32")
            if interface.network.prefixlen > 0:
                links.add(str(interface.network))
    return Surroundings(own=tuple(sorted(own)), links=tuple(sorted(links)), allowed=tuple(allowed))


class Outside:
    """Looks after what a home's namespaces need from outside them."""

    def __init__(self, home: Path, allowed: Sequence[str]) -> None:
        self._socket = client.socket_path(LibvirtPaths(home=home).root / "run")
        self._allowed = allowed
        self._slirp: asyncio.Task[None] | None = None

    async def watch(self, keeper: int) -> None:
        """Tell the switchboard what lies around the host, now and at each change, and keep the way out open."""
        pause = _PAUSE
        try:
            with _address_changes() as changes:
                while True:
                    try:
                        async with client.session(self._socket) as session:
                            pause = _PAUSE
                            await self._attend(session, changes, keeper)
                    except FactoryError as error:
                        _log.debug("the switchboard is not there: %s", error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if self._slirp is not None:
                self._slirp.cancel()
                await asyncio.wait((self._slirp,))

    async def _attend(self, session: client.Session, changes: socket.socket, keeper: int) -> None:
        """Serve one life of the switchboard: a new one knows nothing."""
        told: Surroundings | None = None
        while True:
            now = await surroundings(self._allowed)
            if now != told:
                await session.ask(now)
                told = now
            if self._slirp is None:
                self._slirp = asyncio.create_task(_keep_open(keeper), name="way out")
            ended = asyncio.create_task(session.ended())
            changed = asyncio.create_task(asyncio.get_running_loop().sock_recv(changes, 1 << 16))
            try:
                done, _ = await asyncio.wait(
                    (ended, changed), timeout=_RESYNC_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in (ended, changed):
                    task.cancel()
                await asyncio.wait((ended, changed))
            if ended in done:
                return


async def _keep_open(keeper: int) -> None:
    """Keep slirp4netns attached to the keeper's namespace."""
    if shutil.which(_SLIRP4NETNS) is None:
        _log.error("there is no %s on this host: guests cannot reach out", _SLIRP4NETNS)
        return
    pause = _PAUSE
    while True:
        started = time.monotonic()
        status = await _attach(keeper)
        pause = _PAUSE if time.monotonic() - started > _RESYNC_SECONDS else min(pause * 2, _LONGEST_PAUSE)
        _log.error("%s ended with status %s; starting it again", _SLIRP4NETNS, status)
        await asyncio.sleep(pause)


async def _attach(keeper: int) -> int:
    own_users = not Path(f"/proc/{keeper}/ns/user").samefile("/proc/self/ns/user")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    near, far = os.pipe()  # it sees the end of this process, also a sudden one, by the pipe's
    try:
        argv = ("setpriv", "--pdeathsig", "KILL", "prlimit", f"--nofile={most}:{most}")
        process = await asyncio.create_subprocess_exec(
            *argv,
            *slirp_command(keeper, near, own_users=own_users),
            pass_fds=(near,),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return await process.wait()
        finally:
            await _end(process, 0)
    finally:
        os.close(near)
        os.close(far)


@contextlib.contextmanager
def _address_changes() -> Generator[socket.socket]:
    """A socket that has something to read after each change of the host's IPv4 addresses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as channel:
        channel.bind((0, _RTMGRP_IPV4_IFADDR))
        yield channel


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _run(home: Path, allowed: Sequence[str]) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    keeper = await asyncio.create_subprocess_exec(*keeper_command(home), stdin=asyncio.subprocess.DEVNULL)
    watch = asyncio.create_task(Outside(home, allowed).watch(keeper.pid))
    ended, stopped = asyncio.create_task(keeper.wait()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((ended, stopped, watch), return_when=asyncio.FIRST_COMPLETED)
        if watch.done():
            _log.error("guests lose their way out", exc_info=watch.exception())
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        return 0 if stop.is_set() else keeper.returncode or 0
    finally:
        watch.cancel()
        await _end(keeper, _STOP_SECONDS)
        for task in (watch, stopped):
            task.cancel()
        await asyncio.wait((watch, ended, stopped))


def main() -> NoReturn:
    """Run everything of the home's libvirt until SIGTERM; only ever started by `infra.libvirt_daemon.command`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load({**os.environ, "OPENFACTORY_HOME": sys.argv[1]})
    sys.exit(asyncio.run(_run(settings.home, settings.egress_allow)))


if __name__ == "__main__":
    main()
