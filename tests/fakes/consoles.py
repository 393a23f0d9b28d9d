"""Serial ports whose machines are sockets or nothing at all, and grants in memory."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

Listener = Callable[[bytes], None]


class FakeTap:
    """One viewer, and what they typed."""

    def __init__(self, port: "FakePort", listener: Listener) -> None:
        self._port = port
        self.listener = listener
        self.replay = bytes(port.written)

    async def write(self, data: bytes) -> None:
        await self._port.type(data)

    def close(self) -> None:
        self._port.taps.discard(self)


class FakePort:
    """A port: what the guest wrote so far, who looks at it, and what was typed if there is no machine behind it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.typed = bytearray()
        self.taps: set[FakeTap] = set()
        self._writer: asyncio.StreamWriter | None = None

    def say(self, data: bytes) -> None:
        """Have the guest write something; nothing closes the port."""
        self.written += data
        for tap in tuple(self.taps):
            tap.listener(data)

    async def type(self, data: bytes) -> None:
        self.typed += data
        if self._writer is not None:
            self._writer.write(data)
            await self._writer.drain()

    async def follow(self, socket: Path) -> None:
        """Be the port of a real machine until it ends."""
        reader, self._writer = await asyncio.open_unix_connection(str(socket))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    self.say(data)
            self.say(b"")
        finally:
            self._writer.close()


class FakePorts:
    """The ports of a host, by machine."""

    def __init__(self) -> None:
        self.ports: dict[str, FakePort] = {}

    def attach(self, vm_id: str, listener: Listener) -> FakeTap | None:
        port = self.ports.get(vm_id)
        if port is None:
            return None
        tap = FakeTap(port, listener)
        port.taps.add(tap)
        return tap
