"""How the switchboard is asked: a session of questions, a single one, or a stream to a guest's port."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.errors import FactoryError, Fault, Verdict
from infra.netns.models import SOCKET_NAME, Connect, Reply, Request
from infra.netns.relay import Stream, close

_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.1
_LONGEST_LINE = 1 << 20


def socket_path(run: Path) -> Path:
    """The switchboard's socket in the `run` folder of libvirt."""
    return run / SOCKET_NAME


class Session:
    """One connection to the switchboard. Questions are asked one after the other."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    async def ask(self, request: Request) -> Reply:
        """Ask; raises like the function `ask`."""
        reader, writer = self.stream
        try:
            async with asyncio.timeout(_SECONDS):
                writer.write(request.model_dump_json().encode() + b"\n")
                await writer.drain()
                reply = Reply.model_validate_json(await reader.readline())
        except (OSError, TimeoutError, ValueError) as error:
            raise _unavailable(error) from error
        if reply.problem is not None:
            kind: type[FactoryError] = Fault if reply.problem.retryable else Verdict
            raise kind(reply.problem)
        return reply

    async def ended(self) -> None:
        """Wait until the switchboard is gone; to be cancelled before something is asked."""
        with contextlib.suppress(OSError):
            await self.stream[0].read(1)  # it says nothing unasked


@asynccontextmanager
async def session(path: Path) -> AsyncGenerator[Session]:
    """Connect to the switchboard at `path`.

    Raises:
        Fault: `network.unavailable`.

    """
    opened = await _open(path)
    try:
        yield opened
    finally:
        await close(opened.stream[1])


async def ask(path: Path, request: Request) -> Reply:
    """Ask the switchboard at `path` once.

    Raises:
        Verdict: what the switchboard refuses.
        Fault: `network.unavailable` when it cannot be reached, and what it failed at.

    """
    async with session(path) as opened:
        return await opened.ask(request)


async def connect(path: Path, machine: str, port: int) -> Stream:
    """Open a stream to a TCP port of a guest; the caller closes it.

    Raises:
        Verdict: `guest.port_closed`.
        Fault: `network.unavailable`, `network.unknown_machine`.

    """
    opened = await _open(path)
    try:
        await opened.ask(Connect(machine=machine, port=port))
    except BaseException:
        await close(opened.stream[1])
        raise
    return opened.stream


async def _open(path: Path) -> Session:
    """Connect, with some patience for a switchboard that is just being started again."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            async with asyncio.timeout(_SECONDS):
                return Session(await asyncio.open_unix_connection(str(path), limit=_LONGEST_LINE))
        except (OSError, TimeoutError) as error:
            if time.monotonic() >= deadline:
                raise _unavailable(error) from error
        await asyncio.sleep(_POLL_SECONDS)


def _unavailable(error: Exception) -> Fault:
    return Fault.because(
        "network.unavailable",
        f"the network of this host's machines cannot be reached: {error or 'no answer'}",
        next="See whether the libvirt part of the stack runs (`openfactory status`) and read its log; then retry.",
    )
