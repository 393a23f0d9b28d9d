"""Asking the fork server (`cli.stack.forkserver`) for a process, and hearing of its end."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from cli.stack.forkserver import ENVIRONMENT_BYTES, Begun, Ended, Request, environment_block

_ANSWER_SECONDS = 5.0
_PACKET = 256


def socket_path(run: Path) -> Path:
    """Where the fork server of a home listens, by its folder of sockets."""
    return run / "forkserver.sock"


class Forked:
    """A process that was forked off for us. It is to its user what `asyncio.subprocess.Process` is."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._channel = channel
        self._descriptor: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended already, and we shall hear of it
            self._descriptor = os.pidfd_open(pid)

    async def wait(self) -> int:
        """Wait for its end and return its status; to be called once."""
        try:
            self.returncode = await self._status()
        finally:
            self._channel.close()
            if self._descriptor is not None:
                os.close(self._descriptor)
        return self.returncode

    async def _status(self) -> int:
        loop = asyncio.get_running_loop()
        packet = await loop.sock_recv(self._channel, _PACKET)
        if packet:
            return Ended.model_validate_json(packet).status
        # The server is gone, and what it forked goes with it. The next must not find it still there.
        if self._descriptor is not None:
            gone = asyncio.Event()
            loop.add_reader(self._descriptor, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(self._descriptor)
        return -signal.SIGKILL


async def fork(server: Path, argv: tuple[str, ...], env: Mapping[str, str], output: int) -> Forked | None:
    """Have `argv` (a module and its arguments) run with its output going to `output`.

    Nothing is returned, and nothing runs, where no server is that would do it: the caller starts a program by itself.
    """
    request = Request(argv=argv, env=dict(env))
    if len(environment_block(request.env)) >= ENVIRONMENT_BYTES:
        return None
    try:
        packet = request.model_dump_json().encode()
    except ValueError:  # bytes that are no text, which a program by itself takes as they are
        return None
    loop = asyncio.get_running_loop()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    with contextlib.ExitStack() as resources:
        resources.enter_context(channel)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await loop.sock_connect(channel, str(server))
                socket.send_fds(channel, [packet], [output])
                answer = await loop.sock_recv(channel, _PACKET)
        except (OSError, TimeoutError):
            return None
        try:
            begun = Begun.model_validate_json(answer)
        except ValidationError:  # it ended before it had begun
            return None
        forked = Forked(begun.pid, channel)
        resources.pop_all()
        return forked
