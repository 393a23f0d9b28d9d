"""The one way to run a program: an argument list, a deadline, streamed output, no orphan.

A program is started in a session of its own and told to die with its parent (`PR_SET_PDEATHSIG`, by
setpriv(1)), so neither a cancelled activity nor a killed worker leaves it behind. A program that
forks belongs into `infra.sandbox`, whose PID namespace takes the whole tree with it.
"""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from domain.errors import Fault
from domain.model import Value

OnLine = Callable[[str], None]
_TAIL_LINES = 40
_LINE_LIMIT = 1 << 20
_STOP_SECONDS = 5.0
_BEHIND = "5"  # a third of the share of others
# With autogroups the kernel shares the processors out among sessions, whatever the niceness of what is in them
# (sched(7)). A kernel without them goes by the niceness.
_STEP_BACK = f'{{ echo {_BEHIND} > /proc/self/autogroup; }} 2> /dev/null; exec nice -n {_BEHIND} "$@"'


class Completed(Value):
    """A program that ended well. `stdout` is empty when lines were streamed instead."""

    argv: tuple[str, ...]
    stdout: bytes
    tail: tuple[str, ...]


class CommandError(Fault):
    """A program failed or ran out of time. `tail` holds the last lines it wrote."""

    def __init__(self, argv: Sequence[str], code: str, message: str, tail: Sequence[str], status: int | None) -> None:
        self.argv = tuple(argv)
        self.status = status
        self.tail = tuple(tail)
        super().__init__(*Fault.because(code, message).problems)


async def run(  # noqa: PLR0913 - one keyword per property of a process
    argv: Sequence[str],
    *,
    timeout: float,  # noqa: ASYNC109 - part of the contract, and it also stops the program
    on_line: OnLine | None = None,
    stdin: bytes | IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    behind: bool = False,
) -> Completed:
    """Run `argv` to its end.

    With `on_line` each line of standard output and error is given to it as it comes; without it
    standard output is returned as bytes and only standard error makes up the tail. `timeout` is in
    seconds. `env` replaces the environment. `behind` leaves the processors to whoever else wants them.

    Raises:
        CommandError: `command.failed`, `command.timeout` or `command.not_found`.

    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def note(line: str) -> None:
        tail.append(line)
        if on_line is not None:
            on_line(line)

    out = stdout if stdout is not None else asyncio.subprocess.PIPE
    before = ("sh", "-c", _STEP_BACK, "sh") if behind else ()
    async with _started((*before, *argv), stdin=stdin, stdout=out, cwd=cwd, env=env) as process:
        try:
            async with asyncio.timeout(timeout):
                collected = await _drain(process, note, stream_stdout=on_line is not None, stdin=stdin)
                status = await process.wait()
        except TimeoutError:
            message = f"{Path(argv[0]).name} did not end within {timeout:.0f} s"
            raise CommandError(argv, "command.timeout", message, tail, None) from None
    if status != 0:
        last = next((line for line in reversed(tail) if line.strip()), "it wrote nothing")
        message = f"{Path(argv[0]).name} ended with status {status}: {last}"
        raise CommandError(argv, "command.failed", message, tail, status)
    return Completed(argv=tuple(argv), stdout=collected, tail=tuple(tail))


@asynccontextmanager
async def _started(
    argv: Sequence[str],
    *,
    stdin: bytes | IO[bytes] | None,
    stdout: IO[bytes] | int,
    cwd: Path | None,
    env: Mapping[str, str] | None,
) -> AsyncGenerator[asyncio.subprocess.Process]:
    source = asyncio.subprocess.PIPE if isinstance(stdin, bytes) else (stdin or asyncio.subprocess.DEVNULL)
    process = await asyncio.create_subprocess_exec(
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        *argv,
        stdin=source,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=None if env is None else dict(env),
        limit=_LINE_LIMIT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        await asyncio.shield(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave no process of the group: ask first, then kill."""
    if process.returncode is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
                    break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _drain(
    process: asyncio.subprocess.Process, note: OnLine, *, stream_stdout: bool, stdin: bytes | IO[bytes] | None
) -> bytes:
    async def feed() -> None:
        if isinstance(stdin, bytes) and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(stdin)
                await process.stdin.drain()
            process.stdin.close()

    async def collect() -> bytes:
        if process.stdout is None:
            return b""
        if not stream_stdout:
            return await process.stdout.read()
        await _lines(process.stdout, note)
        return b""

    async def errors() -> None:
        if process.stderr is not None:
            await _lines(process.stderr, note)

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        collected = group.create_task(collect())
        group.create_task(errors())
    return collected.result()


async def _lines(stream: asyncio.StreamReader, note: OnLine) -> None:
    """Give whole lines to `note`; a carriage return ends a line too, as progress bars use it."""
    rest = b""
    while chunk := await stream.read(1 << 16):
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            note(line.decode(errors="replace"))
        if len(rest) > _LINE_LIMIT:
            note(rest.decode(errors="replace"))
            rest = b""
    if rest:
        note(rest.decode(errors="replace"))
