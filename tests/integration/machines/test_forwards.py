"""Port forwards: opened on request, on the loopback only, and again after a worker's end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.machines.forwards import PortForwards
from domain.errors import Verdict
from domain.vm.spec import PortForward
from infra.netns.relay import Stream, close

pytestmark = pytest.mark.integration


class Guest:
    """A server in the place of a guest's: it answers what it is told, in capitals."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.dialled: list[tuple[str, int]] = []
        self.told = asyncio.Event()

    async def serve(self) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.told.set()
            writer.write((await reader.read()).upper())
            await close(writer)

        return await asyncio.start_unix_server(answer, self._path)

    async def dial(self, machine: str, port: int) -> Stream:
        self.dialled.append((machine, port))
        if port == 9:
            raise Verdict.because("guest.port_closed", "nothing answers there")
        return await asyncio.open_unix_connection(str(self._path))


@pytest.fixture
async def guest(tmp_path: Path) -> AsyncIterator[Guest]:
    made = Guest(tmp_path / "guest")
    server = await made.serve()
    yield made
    server.close()
    await server.wait_closed()


async def ask(port: int | None, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    await close(writer)
    return answer


async def test_a_forward_carries_both_ways_and_ends_when_it_is_closed(guest: Guest, tmp_path: Path) -> None:
    forwards = PortForwards(tmp_path / "forwards.json", guest.dial)
    opened = await forwards.open("vm-a", PortForward(guest_port=80))
    assert await forwards.open("vm-a", PortForward(guest_port=80)) == opened
    assert forwards.opened("vm-a") == (opened,)
    assert await ask(opened.host_port, b"hello") == b"HELLO"
    assert guest.dialled == [("vm-a", 80)]
    assert await forwards.close("vm-a", 80)
    assert not await forwards.close("vm-a", 80)
    with pytest.raises(ConnectionRefusedError):
        await ask(opened.host_port, b"hello")


async def test_closing_cuts_what_is_connected(guest: Guest, tmp_path: Path) -> None:
    forwards = PortForwards(tmp_path / "forwards.json", guest.dial)
    opened = await forwards.open("vm-a", PortForward(guest_port=80))
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.host_port)
    writer.write(b"never ended")
    await guest.told.wait()
    assert await forwards.close_all("vm-a") == 1
    assert await reader.read() in {b"", b"NEVER ENDED"}
    await close(writer)


async def test_a_guest_that_does_not_listen_closes_the_connection(guest: Guest, tmp_path: Path) -> None:
    forwards = PortForwards(tmp_path / "forwards.json", guest.dial)
    opened = await forwards.open("vm-a", PortForward(guest_port=9))
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.host_port)
    assert await reader.read() == b""
    await close(writer)
    await forwards.shutdown()


async def test_another_worker_opens_the_same_ports_for_machines_that_are_still_there(
    guest: Guest, tmp_path: Path
) -> None:
    file = tmp_path / "run" / "forwards.json"
    first = PortForwards(file, guest.dial)
    opened = [await first.open(f"vm-{name}", PortForward(guest_port=80)) for name in "ab"]
    await first.shutdown()
    second = PortForwards(file, guest.dial)
    assert await second.restore({"vm-a"}) == 1
    assert second.opened("vm-a") == (opened[0],)
    assert second.opened("vm-b") == ()
    assert await ask(opened[0].host_port, b"again") == b"AGAIN"
    await second.shutdown()


async def test_a_port_that_is_taken_or_reserved_is_refused(guest: Guest, tmp_path: Path) -> None:
    forwards = PortForwards(tmp_path / "forwards.json", guest.dial)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(Verdict, match=r"forward\.port_taken"):
            await forwards.open("vm-a", PortForward(guest_port=80, host_port=taken))
    with pytest.raises(Verdict, match=r"forward\.port_reserved"):
        await forwards.open("vm-a", PortForward(guest_port=80, host_port=80))
    assert forwards.opened("vm-a") == ()
