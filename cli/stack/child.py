"""One running program of the stack: its process, its output, its end.

It is the leader of a session of its own and dies with us (`PR_SET_PDEATHSIG`, by setpriv(1) or by the fork server,
which dies with us), so a killed supervisor leaves nothing behind. What it started itself dies with it: by its process
group, or, for the parts that make namespaces, with those.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cli.stack.forked import Forked, fork
from cli.stack.lasting import Complaint
from cli.stack.logfile import RotatingLog

_CHUNK = 1 << 16


class Child:
    """A started program. `pid` is also the number of its session and process group."""

    def __init__(self, process: asyncio.subprocess.Process | Forked, resources: contextlib.ExitStack) -> None:
        self._process = process
        self._resources = resources
        self._end = asyncio.create_task(self._finish())
        self.notified = asyncio.Event()

    @classmethod
    async def start(
        cls,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        log: RotatingLog,
        notify: Path | None = None,
        complaint: Complaint | None = None,
        forkserver: Path | None = None,
    ) -> "Child":
        """Start `argv` with exactly the environment `env`.

        With `notify` a socket is made there, at which the program says that it is ready. `complaint` hears all that
        it writes. With `forkserver` it is `python -m …`, and is forked off the server at that socket if there is one.
        """
        with contextlib.ExitStack() as resources:
            output = resources.enter_context(OutputPipe(log, complaint))
            environment = dict(env)
            channel = None
            if notify is not None:
                channel = resources.enter_context(NotifySocket(notify))
                environment["NOTIFY_SOCKET"] = str(notify)
            process: asyncio.subprocess.Process | Forked | None = None
            if forkserver is not None:
                process = await fork(forkserver, argv[argv.index("-m") + 1 :], environment, output.write_end)
            if process is None:
                process = await _execute(argv, environment, output.write_end)
            output.handed_over()
            child = cls(process, resources.pop_all())
            if channel is not None:
                child.notified = channel.ready
            return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

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
        self._resources.close()
        return status


async def _execute(argv: tuple[str, ...], env: Mapping[str, str], output: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        # Not asyncio's own pipe: its wait() would last until everybody has closed that, also a process that left
        # the group.
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env=env,
        start_new_session=True,
    )


class OutputPipe:
    """Brings what a program writes into its log, and before whoever listens for a complaint."""

    def __init__(self, log: RotatingLog, complaint: Complaint | None = None) -> None:
        self._log = log
        self._complaint = complaint
        self._loop = asyncio.get_running_loop()
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._writing = True
        self._reading = True

    def __enter__(self) -> Self:
        self._loop.add_reader(self._read_end, self._read)
        return self

    def handed_over(self) -> None:
        """Close our copy of the writing end: the program has its own."""
        if self._writing:
            self._writing = False
            os.close(self.write_end)

    def __exit__(self, *_: object) -> None:
        """Take what is there still, and close everything."""
        self.handed_over()
        while self._reading and self._read():
            pass
        self._done()
        os.close(self._read_end)
        self._log.close()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._read_end, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._done()
            return False
        if self._complaint is not None:
            self._complaint.listen(chunk)
        # On a full disk the part's words are lost; were they not read on, the part would stop in its write.
        with contextlib.suppress(OSError):
            self._log.write(chunk)
        return True

    def _done(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._read_end)


class NotifySocket:
    """The receiving end of sd_notify(3) for one program. Only a process of our own account can reach it."""

    def __init__(self, path: Path) -> None:
        self.ready = asyncio.Event()
        self._path = path
        self._loop = asyncio.get_running_loop()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        path.chmod(0o600)

    def __enter__(self) -> Self:
        self._loop.add_reader(self._socket, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if b"READY=1" in self._socket.recv(4096).split(b"\n"):
                self.ready.set()
