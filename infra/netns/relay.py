"""Bytes between two streams, both ways, with each end's half-close passed on."""

import asyncio
import contextlib

_CHUNK = 1 << 16
_QUIET_SECONDS = 60.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def join(one: Stream, other: Stream) -> None:
    """Pass on what comes from either until both have ended or one is broken; closes both.

    When one has ended, the other has to go on saying something: an end may also be that of a whole connection.
    """
    pumps = [_Pump(one[0], other[1]), _Pump(other[0], one[1])]
    tasks = [asyncio.create_task(pump.run()) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        seen = -1
        while not all(task.done() for task in tasks) and (now := sum(pump.passed for pump in pumps)) > seen:
            seen = now
            await asyncio.wait(tasks, timeout=_QUIET_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
        for _, writer in (one, other):
            writer.close()  # at once, as this may be cancelled again while it waits
        await asyncio.wait(tasks)
        for _, writer in (one, other):
            await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a stream, whatever its state."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class _Pump:
    """One way. `passed` counts bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.passed = 0
        self._reader = reader
        self._writer = writer

    async def run(self) -> None:
        """Pass on until the end, and pass that on too; a broken stream has ended."""
        with contextlib.suppress(OSError):
            while data := await self._reader.read(_CHUNK):
                self._writer.write(data)
                await self._writer.drain()
                self.passed += len(data)
            if self._writer.can_write_eof():
                self._writer.write_eof()
