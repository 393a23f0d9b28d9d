"""One reader of a serial port, and any number of viewers who may also write."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.machines.serial_port import REPLAY_BYTES, SerialLog, SerialPort

pytestmark = pytest.mark.integration


class Guest:
    """The machine's end of the port."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "s"
        self.heard = b""
        self._writer: asyncio.StreamWriter | None = None
        self.there, self.gone = asyncio.Event(), asyncio.Event()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._talk, str(self.socket))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.there.set()
        try:
            while data := await reader.read(1 << 16):
                self.heard += data
        finally:
            writer.close()
            self.gone.set()

    async def say(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()

    def hang_up(self) -> None:
        assert self._writer is not None
        self._writer.close()


class Viewer:
    """Collects what it is given."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def __call__(self, data: bytes) -> None:
        self.seen.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(self.seen)

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in self.text:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)


@pytest.fixture
async def guest(tmp_path: Path) -> AsyncIterator[Guest]:
    made = Guest(tmp_path)
    async with await made.serve():
        yield made


@pytest.fixture
async def port(guest: Guest, tmp_path: Path) -> AsyncIterator[SerialPort]:
    opened = SerialPort(tmp_path)
    await opened.open(guest.socket)
    await guest.there.wait()
    yield opened
    await opened.close()
    await guest.gone.wait()


async def test_a_viewer_sees_what_was_said_before_and_after_it_came_without_a_gap(
    guest: Guest, port: SerialPort, tmp_path: Path
) -> None:
    first = Viewer()
    port.attach(first)
    await guest.say(b"one\n")
    await first.until(b"one")
    second = Viewer()
    tap = port.attach(second)
    await guest.say(b"two\n")
    await second.until(b"two")
    assert tap.replay + second.text == first.text == b"one\ntwo\n"
    assert SerialLog(tmp_path).read() == b"one\ntwo\n"
    assert port.console.screen == "one\ntwo"


async def test_what_viewers_write_reaches_the_guest(guest: Guest, port: SerialPort) -> None:
    taps = [port.attach(Viewer()) for _ in range(2)]
    await taps[0].write(b"root\n")
    await taps[1].write(b"ls\n")
    async with asyncio.timeout(10):
        while guest.heard != b"root\nls\n":  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_a_viewer_that_went_away_hears_no_more(guest: Guest, port: SerialPort) -> None:
    gone, here = Viewer(), Viewer()
    tap = port.attach(gone)
    port.attach(here)
    tap.close()
    tap.close()
    await guest.say(b"secret")
    await here.until(b"secret")
    assert gone.seen == []


async def test_the_end_of_the_port_is_told_once_and_writing_then_fails(guest: Guest, port: SerialPort) -> None:
    viewer = Viewer()
    tap = port.attach(viewer)
    await guest.say(b"bye")
    guest.hang_up()
    await port.drained(10)
    assert viewer.seen == [b"bye", b""]
    assert not port.is_open
    with pytest.raises(OSError, match="closed"):
        await tap.write(b"anybody?")
    late = Viewer()
    assert port.attach(late).replay == b"bye"
    assert late.seen == [b""]


async def test_a_flood_is_replayed_by_its_last_part(guest: Guest, port: SerialPort) -> None:
    viewer = Viewer()
    port.attach(viewer)
    await guest.say(b"x" * (3 * REPLAY_BYTES) + b"end")
    await viewer.until(b"end")
    replay = port.attach(Viewer()).replay
    assert len(replay) == REPLAY_BYTES
    assert replay.endswith(b"xend")
