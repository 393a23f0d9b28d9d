"""Bytes between two streams, both ways, with each end's half-close passed on."""

import asyncio
import contextlib

_CHUNK = 1 << 16
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def join(one: Stream, other: Stream) -> None:
    """Pass on what comes from either until both have ended or one is broken; closes both."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(one[0], other[1]))
            group.create_task(_pump(other[0], one[1]))
    except* (ConnectionError, TimeoutError, OSError):
        pass  # broken streams have no more to say; closing both tells the other end
    finally:
        for _, writer in (one, other):
            await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a stream, whatever its state."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()
