"""The relay on a real host: a real machine's screen and serial port, and who does not get to see them."""

import asyncio
import itertools
import struct
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from activities.consoles.relay import VIEWERS, ConsoleRelay
from domain.console import ConsoleChannel, ConsoleEnd, ConsoleMode, ConsoleTicket
from domain.errors import Fault, Verdict
from infra.console_tickets import TicketSigner
from tests.fakes.consoles import FakePort, FakePorts
from tests.integration.consoles.machine import BANNER, TalkingMachine, talking_machine, until

pytestmark = pytest.mark.integration

VM = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
SIGNER = TicketSigner(b"k" * 32)
HELLO = b"RFB 003.008\n\x01\x01"
_numbers = itertools.count()


def ticket(
    vm_id: str = VM,
    *,
    channel: ConsoleChannel = "vnc",
    mode: ConsoleMode = "control",
    seconds: float = 30,
    length: float = 3600,
    signer: TicketSigner = SIGNER,
) -> str:
    now = datetime.now(UTC)
    return signer.sign(
        ConsoleTicket(
            id=f"t{next(_numbers)}",
            vm_id=vm_id,
            channel=channel,
            mode=mode,
            expires_at=now + timedelta(seconds=seconds),
            ends_at=now + timedelta(seconds=length),
        )
    )


class Host:
    """A relay, the machines it knows, and a client of it."""

    def __init__(self, folder: Path, client: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.ports = FakePorts()
        self.relay = ConsoleRelay(SIGNER, self.screen, self.ports)
        self.client = client
        self.address = ""

    def screen(self, vm_id: str) -> Path:
        return self.folder / vm_id[:2] / "v"

    def open(self, shown: str, vm_id: str = VM, channel: ConsoleChannel = "vnc") -> "Opening":
        headers = {"Authorization": f"Bearer {shown}"}
        return self.client.ws_connect(f"{self.address}/{channel}/{vm_id}", headers=headers, max_msg_size=1 << 24)

    async def refused(self, shown: str, vm_id: str = VM, channel: ConsoleChannel = "vnc") -> int:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            async with self.open(shown, vm_id, channel):
                pass
        return error.value.status


Opening = AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]


@pytest.fixture
async def host() -> AsyncGenerator[Host]:
    # A short path: a socket's has at most 107 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="of-") as folder:
        async with aiohttp.ClientSession() as client:
            host = Host(Path(folder), client)
            async with host.relay.serve("127.0.0.1:0") as host.address:
                yield host


@pytest.fixture
async def machine(host: Host) -> AsyncGenerator[TalkingMachine]:
    folder = host.screen(VM).parent
    folder.mkdir()
    async with talking_machine(folder) as machine:
        port = host.ports.ports[VM] = FakePort()
        following = asyncio.create_task(port.follow(machine.port))
        await until(lambda: BANNER in port.written)
        yield machine
        following.cancel()


class Screen:
    """Just enough of a VNC viewer: shakes hands, then says what it is told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._got = bytearray()

    async def take(self, count: int) -> bytes:
        async with asyncio.timeout(30):
            while len(self._got) < count:
                self._got += await self.socket.receive_bytes()
        taken = bytes(self._got[:count])
        del self._got[:count]
        return taken

    async def shake_hands(self) -> tuple[int, int]:
        """Return width and height (RFC 6143, 7.1 to 7.3)."""
        assert await self.take(12) == b"RFB 003.008\n"
        await self.socket.send_bytes(HELLO[:12])
        [count] = await self.take(1)
        assert 1 in await self.take(count)
        await self.socket.send_bytes(b"\x01")
        assert await self.take(4) == bytes(4)
        await self.socket.send_bytes(b"\x00")  # "not shared"
        width, height, name_length = struct.unpack(">HH16xI", await self.take(24))
        await self.take(name_length)
        return width, height

    async def type(self, text: str) -> None:
        for key in text:
            for down in (1, 0):
                await self.socket.send_bytes(struct.pack(">BBxxI", 4, down, ord(key)))

    async def picture(self, width: int, height: int) -> bytes:
        """Ask for the whole screen, raw, as 32 bits a pixel."""
        await self.socket.send_bytes(struct.pack(">BxHi", 2, 1, 0))
        await self.socket.send_bytes(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        pixels = b""
        while len(pixels) < width * height * 4:
            kind, rectangles = struct.unpack(">BxH", await self.take(4))
            assert kind == 0
            for _ in range(rectangles):
                _, _, w, h, encoding = struct.unpack(">HHHHi", await self.take(12))
                assert encoding == 0
                pixels += await self.take(w * h * 4)
        return pixels


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read to the end and tell the close code."""
    async with asyncio.timeout(20):
        async for _ in socket:
            pass
    return socket.close_code


async def test_who_controls_sees_the_screen_and_types(host: Host, machine: TalkingMachine) -> None:
    async with host.open(ticket()) as socket:
        screen = Screen(socket)
        width, height = await screen.shake_hands()
        assert len(set(await screen.picture(width, height))) > 1
        await screen.type("knock")
        await until(lambda: b"knock" in host.ports.ports[VM].written)


async def test_who_looks_sees_the_same_screen_and_types_nothing(host: Host, machine: TalkingMachine) -> None:
    port = host.ports.ports[VM]
    async with host.open(ticket(mode="view")) as looking, host.open(ticket()) as controlling:
        looker, other = Screen(looking), Screen(controlling)
        width, height = await looker.shake_hands()
        await other.shake_hands()
        await looker.type("zzz")
        assert len(set(await looker.picture(width, height))) > 1
        # Both are still there, and what the second types comes behind what the first tried.
        await other.type("second")
        await until(lambda: b"second" in port.written)
        assert b"z" not in port.written


async def test_a_viewer_who_talks_nonsense_is_cut(host: Host, machine: TalkingMachine) -> None:
    async with host.open(ticket()) as socket:
        await Screen(socket).shake_hands()
        await socket.send_bytes(b"\xfa\x00\x01\x02")
        assert await end_of(socket) == ConsoleEnd.REFUSED
    async with host.open(ticket()) as socket:
        await socket.send_str("hello")
        assert await end_of(socket) == ConsoleEnd.REFUSED


async def test_a_screen_ends_with_its_machine(host: Host, machine: TalkingMachine) -> None:
    async with host.open(ticket()) as screen, host.open(ticket(channel="serial"), channel="serial") as serial:
        await Screen(screen).shake_hands()
        await machine.kill()
        assert await end_of(screen) == ConsoleEnd.GONE
        assert await end_of(serial) == ConsoleEnd.GONE
    assert await host.refused(ticket()) == 404


async def test_a_serial_port_begins_with_what_was_said_before_and_takes_input(
    host: Host, machine: TalkingMachine
) -> None:
    port = host.ports.ports[VM]
    async with host.open(ticket(channel="serial"), channel="serial") as socket:
        assert (await socket.receive_bytes()).endswith(BANNER)
        await socket.send_bytes(b"echo")
        await until(lambda: b"echo" in port.written)
        got = b""
        async with asyncio.timeout(20):
            while got != b"echo":
                got += await socket.receive_bytes()
    await until(lambda: not port.taps)


async def test_no_other_ticket_opens_a_console(host: Host) -> None:
    host.ports.ports[VM] = FakePort()
    assert await host.refused(ticket(OTHER)) == 401
    assert await host.refused(ticket(), OTHER) == 401
    assert await host.refused(ticket(), channel="serial") == 401
    assert await host.refused(ticket(channel="serial")) == 401
    assert await host.refused(ticket(seconds=0)) == 401
    assert await host.refused(ticket(length=0)) == 401
    assert await host.refused(ticket(signer=TicketSigner(b"x" * 32))) == 401
    assert await host.refused("nonsense") == 401
    assert await host.refused("") == 401


async def test_a_ticket_opens_a_console_once(host: Host) -> None:
    host.ports.ports[VM] = FakePort()
    shown = ticket(channel="serial")
    async with host.open(shown, channel="serial") as socket:
        assert await socket.receive_bytes() == b""
    assert await host.refused(shown, channel="serial") == 401


async def test_a_machine_that_is_not_there_has_no_console(host: Host) -> None:
    assert await host.refused(ticket()) == 404
    assert await host.refused(ticket(channel="serial"), channel="serial") == 404


async def test_input_of_somebody_who_only_looks_at_a_serial_port_ends_the_session(host: Host) -> None:
    port = host.ports.ports[VM] = FakePort()
    async with host.open(ticket(channel="serial", mode="view"), channel="serial") as socket:
        await socket.receive_bytes()
        await socket.send_bytes(b"rm -rf /\n")
        assert await end_of(socket) == ConsoleEnd.REFUSED
    assert port.typed == b""


async def test_only_the_last_of_a_long_past_is_shown(host: Host) -> None:
    port = host.ports.ports[VM] = FakePort()
    port.say(b"x" * 100_000 + b"end")
    async with host.open(ticket(channel="serial"), channel="serial") as socket:
        replay = await socket.receive_bytes()
    assert len(replay) == 65_536
    assert replay.endswith(b"end")


async def test_a_browser_that_takes_nothing_is_cut_and_the_guest_goes_on(host: Host) -> None:
    port = host.ports.ports[VM] = FakePort()
    async with (
        host.open(ticket(channel="serial"), channel="serial") as slow,
        host.open(ticket(channel="serial"), channel="serial") as quick,
    ):
        await quick.receive_bytes()
        got = 0
        async with asyncio.timeout(60):
            while len(port.taps) == 2:
                port.say(b"y" * 65_536)
                got += len(await quick.receive_bytes())
        port.say(b"still here")
        while got < len(port.written):
            got += len(await quick.receive_bytes())
        assert await end_of(slow) in {ConsoleEnd.TOO_SLOW, 1006}


async def test_a_session_ends_when_its_time_is_up(host: Host) -> None:
    host.ports.ports[VM] = FakePort()
    async with host.open(ticket(channel="serial", length=0.3), channel="serial") as socket:
        assert await end_of(socket) == ConsoleEnd.TIME_UP


async def test_a_console_has_so_many_viewers_and_room_again_when_one_leaves(host: Host) -> None:
    port = host.ports.ports[VM] = FakePort()
    async with AsyncExitStack() as stack:
        openings = [host.open(ticket(channel="serial"), channel="serial") for _ in range(VIEWERS)]
        first, *_ = [await stack.enter_async_context(opening) for opening in openings]
        assert await host.refused(ticket(channel="serial"), channel="serial") == 429
        await first.close()
        await until(lambda: len(port.taps) == VIEWERS - 1)
        async with host.open(ticket(channel="serial"), channel="serial") as socket:
            await socket.receive_bytes()


async def test_a_ticket_without_a_websocket_opens_nothing(host: Host) -> None:
    host.ports.ports[VM] = FakePort()
    headers = {"Authorization": f"Bearer {ticket(channel='serial')}"}
    async with host.client.get(f"{host.address}/serial/{VM}", headers=headers) as answer:
        assert answer.status in {400, 426}
    assert not host.ports.ports[VM].taps


async def test_it_says_where_it_can_be_reached(host: Host) -> None:
    assert host.address.startswith("http://127.0.0.1:")
    async with host.relay.serve("0.0.0.0:0", "https://relay.example") as address:
        assert address == "https://relay.example"
    with pytest.raises(Verdict, match="no address that the gateway could connect to"):
        async with host.relay.serve("0.0.0.0:0"):
            pass
    with pytest.raises(Fault, match="cannot listen"):
        async with host.relay.serve(host.address.removeprefix("http://")):
            pass
