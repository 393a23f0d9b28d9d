"""The one reader of a machine's serial port: into a capped file, to whoever follows it, and to any number of viewers.

QEMU offers the port as a socket to one client, and the machine is started paused until it is read, so no
byte is missed. A guest that floods its port fills no disk: the file keeps the beginning and the last part.
When the reader is gone (a killed worker) QEMU drops what the guest writes; the machine goes on.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from activities.machines.console import Console

_log = logging.getLogger(__name__)
HEAD_BYTES = 2 << 20
TAIL_BYTES = 1 << 20
REPLAY_BYTES = 64 << 10
_CHUNK = 1 << 16
# An emulated port hands over a few characters at a time; each taking costs processor time that the guest needs.
_GATHER_SECONDS = 0.1
_GATHER_SECONDS_SEEN = 0.01


class SerialLog:
    """A log of at most `HEAD_BYTES` + 2 * `TAIL_BYTES`: the beginning, then two turns of the last part."""

    def __init__(self, folder: Path) -> None:
        self._head = folder / "serial.head"
        self._tail = folder / "serial.tail"
        self._older = folder / "serial.tail.1"
        self._room = max(0, HEAD_BYTES - _size(self._head))
        self._in_tail = _size(self._tail)

    def write(self, data: bytes) -> None:
        """Add what the guest wrote."""
        head, rest = data[: self._room], data[self._room :]
        if head:
            self._append(self._head, head)
            self._room -= len(head)
        if rest:
            self._append(self._tail, rest)
            self._in_tail += len(rest)
        if self._in_tail >= TAIL_BYTES:
            self._tail.replace(self._older)
            self._in_tail = 0

    def read(self) -> bytes:
        """What is kept, with a line that says so where something is missing."""
        parts = [path.read_bytes() for path in (self._head, self._older, self._tail) if path.exists()]
        if self._older.exists():
            parts.insert(1, b"\n[... the guest wrote more than is kept here ...]\n")
        return b"".join(parts)

    @staticmethod
    def _append(path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class SerialTap:
    """A viewer at a port. `replay` is the last of what the guest wrote before the viewer came."""

    def __init__(self, replay: bytes, write: Callable[[bytes], Awaitable[None]], leave: Callable[[], None]) -> None:
        self.replay = replay
        self._write = write
        self._leave = leave

    async def write(self, data: bytes) -> None:
        """Give input to the guest; returns when the port has taken it.

        Raises:
            OSError: the port is closed.

        """
        await self._write(data)

    def close(self) -> None:
        """Go away; harmless to repeat."""
        self._leave()


class SerialPort:
    """Reads one port for as long as the machine runs. `console` is what was understood so far."""

    def __init__(self, folder: Path) -> None:
        self.console = Console()
        self._log = SerialLog(folder)
        self._recent = bytearray()
        self._follower: Callable[[str], None] | None = None
        self._viewers: list[Callable[[bytes], None]] = []
        self._pending = bytearray()
        self._some = asyncio.Event()
        self._taking = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody is at the other end."""
        return self._writer is not None

    async def open(self, socket: Path) -> None:
        """Connect and read from now on.

        Raises:
            OSError: there is no such port.

        """
        reader, writer = await asyncio.open_unix_connection(str(socket))
        self._writer = writer
        self._task = asyncio.create_task(self._read(reader, writer), name=f"serial {socket.parent.name}")

    def follow(self, line: Callable[[str], None] | None) -> None:
        """Give each cleaned line to `line` from now on, or to nobody."""
        self._follower = line

    def attach(self, listener: Callable[[bytes], None]) -> SerialTap:
        """Let `listener` have what the guest writes from now on, as it comes, and `b""` once when the port closes.

        It is called in the event loop, in order and without a gap to the tap's `replay`; it returns at once.
        """
        self._viewers.append(listener)

        def leave() -> None:
            if listener in self._viewers:
                self._viewers.remove(listener)

        if not self.is_open:
            self._tell(b"")
        return SerialTap(bytes(self._recent), self._write, leave)

    async def caught_up(self) -> None:
        """Take what has been read by now: what the log and `console` say is then no older than this."""
        await self._take_pending()

    async def close(self) -> None:
        """Stop reading; harmless to repeat."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def drained(self, seconds: float) -> None:
        """Wait until the port is closed by the machine's end and all of it was read, at most `seconds`."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=seconds)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taking = asyncio.create_task(self._take_in_handfuls())
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    self._pending += data
                    self._some.set()
                    if len(self._pending) >= _CHUNK:  # a flood waits for its log
                        await self._take_pending()
        finally:
            self._writer = None
            writer.close()
            taking.cancel()
            await self._take_pending()
            self._tell(b"")

    async def _take_in_handfuls(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(_GATHER_SECONDS_SEEN if self._viewers else _GATHER_SECONDS)
            await self._take_pending()

    async def _take_pending(self) -> None:
        # What was begun is ended also when whoever asked for it is cancelled: it would be lost.
        await asyncio.shield(self._take())

    async def _take(self) -> None:
        async with self._taking:
            data, self._pending = bytes(self._pending), bytearray()
            self._some.clear()
            if not data:
                return
            try:
                await asyncio.to_thread(self._log.write, data)
            except OSError as error:  # the disk is full: what is seen of the guest goes on
                _log.warning("a serial port's log cannot be written: %s", error)
            self._recent += data
            del self._recent[:-REPLAY_BYTES]
            self._tell(data)
            for line in self.console.feed(data):
                if self._follower is not None:
                    self._follower(line)

    def _tell(self, data: bytes) -> None:
        viewers = tuple(self._viewers)
        if not data:
            self._viewers.clear()
        for listener in viewers:
            listener(data)

    async def _write(self, data: bytes) -> None:
        writer = self._writer
        if writer is None:
            raise ConnectionResetError("the serial port is closed")
        writer.write(data)
        await writer.drain()
