"""The switchboard of a home: the process in libvirt's network namespace that makes and removes links.

It listens on a UNIX socket of the home, which works across network namespaces, and answers `models.Request`s.
What should be there follows from its plan and from which machines are connected; after each request the
namespace is made to look like that. So a repeat is harmless, and a switchboard that was killed goes on where
it was: the plan is a file, and who is connected is read from the bridges that are there.
"""

import asyncio
import contextlib
import logging
import os
import resource
import socket
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from domain.errors import FactoryError, Fault, Problem, Verdict
from infra.netns import base
from infra.netns.dnsmasq import Dnsmasq, Service, resolver_uid
from infra.netns.firewall import RELAY_MARK
from infra.netns.models import SOCKET_NAME, STATE_NAME, Connect, Plug, Reply, Request, Surroundings, Sweep, Unplug
from infra.netns.plan import CLOSED_PREFIX, EGRESS_PREFIX, NETWORK_PREFIX, Plan, Wired
from infra.netns.relay import Stream, close, join

INSIDE_RUN = PurePosixPath("/run/libvirt")
INSIDE_LIB = PurePosixPath("/var/lib/libvirt")
_CONNECT_SECONDS = 10.0
_TICK_SECONDS = 30.0
_LONGEST_LINE = 1 << 18
_OURS = (EGRESS_PREFIX, CLOSED_PREFIX, NETWORK_PREFIX)
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
_log = logging.getLogger(__name__)


class Switchboard:
    """The links of all machines of one namespace; one request at a time. `run` has `net/`, `lib` the plan."""

    def __init__(self, run: Path, lib: Path, resolver: int) -> None:
        self._root = run / "net"
        self._file = lib / STATE_NAME
        self._resolver = resolver
        self._plan = Plan()
        self._connected: set[str] = set()
        self._bridges: set[str] = set()
        self._services: dict[str, Dnsmasq] = {}
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Make the namespace ready and take over what an earlier switchboard left."""
        await base.prepare(self._resolver)
        if self._file.exists():
            self._plan = Plan.model_validate_json(self._file.read_bytes())
        self._bridges = {name for name in await base.links() if name.startswith(_OURS)}
        self._connected = {m for m, wired in self._plan.machines.items() if wired.bridge in self._bridges}
        await self._settle()

    async def close(self) -> None:
        """End the services; the links stay."""
        for service in self._services.values():
            await service.close()
        self._services.clear()

    async def keep_tidy(self) -> None:
        """Look after settings that others may change, for ever."""
        while True:
            base.leave_bridges_alone()
            await asyncio.sleep(_TICK_SECONDS)

    async def answer(self, request: Request) -> Reply:
        """Do what is asked, except connecting.

        Raises:
            Verdict: `network.name_taken`.
            Fault: `network.full`, `network.unknown_machine` or `command.…`.

        """
        async with self._lock:
            match request:
                case Plug():
                    self._adopt(self._plan.plug(request))
                    self._connected.add(request.machine)
                    await self._settle()
                    return Reply(cabling=self._plan.cabling(request.machine))
                case Unplug():
                    return Reply(removed=await self._unplug((request.machine,), forget=request.forget))
                case Sweep():
                    unwanted = [name for name in self._plan.machines if name not in request.keep]
                    return Reply(removed=await self._unplug(unwanted, forget=True))
                case Surroundings():
                    await base.load_rules(request, self._resolver)
                    return Reply()
                case _:
                    self._wired(request.machine)
                    names = self._plan.names(request.machine)
                    return Reply(cabling=self._plan.cabling(request.machine), names=names)

    async def connect(self, request: Connect) -> Stream:
        """Connect to a port of a machine, by its uplink.

        Raises:
            Verdict: `guest.port_closed` when nothing answers there.
            Fault: `network.unknown_machine`.

        """
        address = str(self._wired(request.machine).subnet[2])
        channel = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, RELAY_MARK)
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(channel, (address, request.port))
            return await asyncio.open_connection(sock=channel)
        except (OSError, TimeoutError) as error:
            channel.close()
            raise Verdict.because(
                "guest.port_closed",
                f"port {request.port} of {request.machine} does not answer: {error or 'no answer'}",
                next="See whether the service runs in the guest and listens on all addresses.",
            ) from error

    def _wired(self, machine: str) -> Wired:
        wired = self._plan.machines.get(machine)
        if wired is None or machine not in self._connected:
            raise Fault.because(
                "network.unknown_machine", f"{machine} has no network here", next="Start the machine, then retry."
            )
        return wired

    async def _unplug(self, machines: Iterable[str], *, forget: bool) -> int:
        plan, removed = self._plan, 0
        for machine in machines:
            removed += machine in (plan.machines if forget else self._connected)
            self._connected.discard(machine)
            plan = plan.forget(machine) if forget else plan
        self._adopt(plan)
        await self._settle()
        return removed

    def _adopt(self, plan: Plan) -> None:
        if plan != self._plan:
            new = self._file.with_name(f"{self._file.name}.new")
            new.write_text(plan.model_dump_json(), encoding="utf-8")
            new.replace(self._file)
            self._plan = plan

    async def _settle(self) -> None:
        """Make the namespace have exactly the bridges and services that the connected machines need."""
        wanted = self._wanted()
        for bridge in self._bridges - wanted.keys():
            await self._drop(bridge)
        for bridge, service in wanted.items():
            if bridge not in self._bridges:
                await self._make(service)
        self._tell()
        for service in self._services.values():
            service.start()

    def _wanted(self) -> dict[str, Service]:
        machines = [self._plan.machines[name] for name in self._connected]
        keys = {seated.seat.key for wired in machines for seated in wired.seats}
        networks = (
            Service(bridge=self._plan.network_bridge(k), subnet=self._plan.subnet(k), resolves=False) for k in keys
        )
        uplinks = (Service(bridge=w.bridge, subnet=w.subnet, resolves=True, egress=w.egress) for w in machines)
        wanted = {service.bridge: service for service in (*networks, *uplinks)}
        for bridge, service in wanted.items():
            self._services.setdefault(bridge, Dnsmasq(service, self._root))
        return wanted

    async def _make(self, service: Service) -> None:
        bridge, gateway = service.bridge, service.subnet[1]
        # Its own address, so that it is not the lowest of its ports' and stays the same.
        own = "0a:" + ":".join(f"{byte:02x}" for byte in (0, *gateway.packed))
        await base.batch(
            f"link add name {bridge} address {own} type bridge mcast_snooping 0",
            f"address add {gateway}/{service.subnet.prefixlen} dev {bridge}",
            f"link set {bridge} up",
        )
        self._bridges.add(bridge)

    async def _drop(self, bridge: str) -> None:
        service = self._services.pop(bridge, None)
        if service is not None:
            await service.close()
        with contextlib.suppress(Fault):  # gone already
            await base.batch(f"link delete {bridge}")
        self._bridges.discard(bridge)

    def _tell(self) -> None:
        for name in self._connected:
            wired = self._plan.machines[name]
            self._services[wired.bridge].tell((self._plan.cabling(name).uplink,), self._plan.names(name))
            for seated in wired.seats:
                key = seated.seat.key
                self._services[self._plan.network_bridge(key)].tell(self._plan.members(key))


async def serve(switchboard: Switchboard, path: Path) -> None:
    """Answer requests at `path` for ever."""
    talking = set[asyncio.Task[None] | None]()  # asyncio itself keeps no task alive that waits for a quiet stream

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.add(asyncio.current_task())
        try:
            await _talk(switchboard, (reader, writer))
        except (OSError, TimeoutError, ValueError) as error:
            _log.info("a client went away: %s", error)
        finally:
            await close(writer)
            talking.discard(asyncio.current_task())

    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(client, path, limit=_LONGEST_LINE)
    finally:
        os.umask(mask)
    async with server:
        await switchboard.keep_tidy()


async def _talk(switchboard: Switchboard, stream: Stream) -> None:
    """Answer one request after the other, until one makes the connection the guest's."""
    reader, writer = stream
    while line := await reader.readline():
        guest: Stream | None = None
        try:
            request = _REQUESTS.validate_json(line)
            if isinstance(request, Connect):
                guest = await switchboard.connect(request)
                reply = Reply()
            else:
                reply = await switchboard.answer(request)
        except FactoryError as error:
            reply = Reply(problem=error.problems[0])
        except ValidationError as error:
            reply = Reply(problem=Problem(code="network.bad_request", message=str(error)))
        writer.write(reply.model_dump_json().encode() + b"\n")
        await writer.drain()
        if guest is not None:
            await join(stream, guest)
            return


async def _main() -> None:
    switchboard = Switchboard(Path(INSIDE_RUN), Path(INSIDE_LIB), resolver_uid())
    await switchboard.open()
    try:
        await serve(switchboard, Path(INSIDE_RUN) / SOCKET_NAME)
    finally:
        await switchboard.close()


def main() -> None:
    """Run the switchboard; only ever started by `infra.libvirt_daemon`, inside its namespaces."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # two for each connection
    try:
        asyncio.run(_main())
    except FactoryError as error:
        sys.exit(f"guests have no network: {error}")


if __name__ == "__main__":
    main()
