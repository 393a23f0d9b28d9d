"""One running program of the stack: its process, its output, its end.

It is the leader of a session of its own and dies with us (`PR_SET_PDEATHSIG`, by setpriv(1)), so a
killed supervisor leaves nothing behind. What it started itself dies with it: by its process group, or,
for the parts that make namespaces, with those.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from cli.stack.logfile import RotatingLog

_CHUNK = 1 << 16
_LAST_OUTPUT_SECONDS = 1.0


class Child:
    """A started program. `pid` is also the number of its session and process group."""

    def __init__(self, process: asyncio.subprocess.Process, log: RotatingLog, channel: "NotifySocket | None") -> None:
        self._process = process
        self._channel = channel
        self._log = log
        self._output = asyncio.create_task(_copy(process, log))
        self._end = asyncio.create_task(self._finish())

    @classmethod
    async def start(
        cls, argv: tuple[str, ...], env: Mapping[str, str], log: RotatingLog, notify: Path | None = None
    ) -> "Child":
        """Start `argv` with exactly the environment `env`; `notify` is where a socket for its readiness is made."""
        channel = NotifySocket(notify) if notify is not None else None
        environment = {**env, "NOTIFY_SOCKET": str(notify)} if notify is not None else dict(env)
        try:
            process = await asyncio.create_subprocess_exec(
                "setpriv",
                "--pdeathsig",
                "KILL",
                "--",
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        except BaseException:
            if channel is not None:
                channel.close()
            raise
        return cls(process, log, channel)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def notified(self) -> asyncio.Event:
        """Set when the program says that it is ready; for one that was given a socket to say it."""
        if self._channel is None:
            raise RuntimeError("this program was given no socket to say that it is ready")
        return self._channel.ready

    async def wait(self) -> int:
        """Wait for its end and return its status, negative for a signal; nothing of its group is left then."""
        return await asyncio.shield(self._end)

    async def stop(self, number: signal.Signals, seconds: float) -> bool:
        """End it: `number` to the program, and SIGKILL to its group after `seconds`. Tells if it ended by itself."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()
            return False
        return True

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _finish(self) -> int:
        status = await self._process.wait()
        self.kill()
        # A process that left the group may still hold the other end of the pipe.
        await asyncio.wait([self._output], timeout=_LAST_OUTPUT_SECONDS)
        self._output.cancel()
        self._log.close()
        if self._channel is not None:
            self._channel.close()
        return status


async def _copy(process: asyncio.subprocess.Process, log: RotatingLog) -> None:
    if process.stdout is None:
        return
    while chunk := await process.stdout.read(_CHUNK):
        # On a full disk the part's words are lost; were they not read on, the part would stop in its write.
        with contextlib.suppress(OSError):
            log.write(chunk)


class NotifySocket:
    """The receiving end of sd_notify(3) for one program. Only a process of our own account can reach it."""

    def __init__(self, path: Path) -> None:
        self.ready = asyncio.Event()
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._receive)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if b"READY=1" in self._socket.recv(4096).split(b"\n"):
                self.ready.set()

    def close(self) -> None:
        """Remove the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._path.unlink(missing_ok=True)
