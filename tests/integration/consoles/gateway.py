"""The real gateway and the real relay of a host, with a factory in memory between them."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from activities.consoles.relay import ConsoleRelay
from console.app import build_app
from domain.console import ConsoleChannel
from infra.console_tickets import TicketSigner
from service.admission.credentials import OPERATOR
from service.consoles import get_console_link
from tests.fakes.consoles import VM_ID, FakePort, FakePorts, vm_with_console
from tests.fakes.factory import World
from tests.integration.consoles.machine import BANNER, TalkingMachine, talking_machine, until
from tests.ports import free_port


class Gateway:
    """Where a browser goes, and what is behind it. Machine and port are those of `VM_ID`."""

    def __init__(self, world: World, folder: Path, ports: FakePorts) -> None:
        self.world = world
        self.folder = folder
        self.ports = ports

    @property
    def url(self) -> str:
        return self.world.public_url

    @property
    def port(self) -> FakePort:
        return self.ports.ports[VM_ID]

    async def link(self, channel: ConsoleChannel = "vnc", *, view_only: bool = False) -> str:
        """Ask for a link, as the tool does."""
        return (await get_console_link(self.world.factory, OPERATOR, VM_ID, channel, view_only=view_only)).url

    @asynccontextmanager
    async def machine(self) -> AsyncGenerator[TalkingMachine]:
        """Run the machine, until it has said that it is ready."""
        async with talking_machine(self.folder) as machine:
            port = self.ports.ports[VM_ID] = FakePort()
            following = asyncio.create_task(port.follow(machine.port))
            try:
                await until(lambda: BANNER in port.written)
                yield machine
            finally:
                following.cancel()


@asynccontextmanager
async def gateway() -> AsyncGenerator[Gateway]:
    """Run gateway and relay."""
    port = free_port()
    world = World(public_url=f"http://127.0.0.1:{port}")
    # A short path: a socket's has at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="of-") as folder:
        ports = FakePorts()

        def screen(vm_id: str) -> Path:
            assert vm_id == VM_ID
            return Path(folder) / "v"

        relay = ConsoleRelay(TicketSigner(b"k" * 32), screen, ports, now=lambda: world.now)
        runner = web.AppRunner(
            build_app(world.factory, "http://127.0.0.1:9"),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=0.5,
        )
        async with relay.serve("127.0.0.1:0") as address:
            world.reads.vms[VM_ID] = vm_with_console(address)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
                yield Gateway(world, Path(folder), ports)
            finally:
                await runner.cleanup()
