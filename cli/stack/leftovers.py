"""Processes that a killed supervisor left: found by marks that only our parts carry, and ended.

Every part is started with OPENFACTORY_HOME and OPENFACTORY_PART in its environment, and what it starts
inherits them (proc(5), environ). Programs that overwrite their environment for a better title, as
PostgreSQL does, are known by the process id and start time that the supervisor wrote down.
"""

import contextlib
import json
import os
import select
import signal
import time
from pathlib import Path

from domain.model import Value

PART_MARK = "OPENFACTORY_PART"
EXEC_SECONDS = 0.1
"""How long the environment of a process may be empty while it executes a program anew: 8 ms were seen under load."""
_START_TIME_FIELD = 19  # of what follows the command in /proc/PID/stat: field 22, starttime


class Running(Value):
    """A process that cannot be mistaken for a later one of the same number. `started` is in clock ticks since boot."""

    pid: int
    started: int


def identify(pid: int) -> Running | None:
    """Tell the start time of a process; nothing if there is none of that number or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if stat[0] in {b"Z", b"X"} else Running(pid=pid, started=int(stat[_START_TIME_FIELD]))


def read_environment(pid: int, deadline: float) -> bytes:
    """Read the environment of a process; one that is executing a program is asked again until `deadline`.

    The kernel empties it first and fills it at the end, when the new program is mapped. `deadline` is in seconds of
    the monotonic clock.

    Raises:
        OSError: the process has ended, is another user's, or is a thread of the kernel.

    """
    entry = Path(f"/proc/{pid}")
    while True:
        (entry / "exe").readlink()  # who has no program never has an environment
        environment = (entry / "environ").read_bytes()
        if environment or time.monotonic() > deadline:
            return environment
        time.sleep(0.002)


def record(folder: Path, name: str, pid: int | None) -> None:
    """Write down (or, without a pid, strike out) the process of a part, for whoever comes after a kill."""
    path = folder / f"{name}.pid"
    running = identify(pid) if pid is not None else None
    if running is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(running.model_dump_json() + "\n", encoding="utf-8")


def find(home: Path, folder: Path) -> list[Running]:
    """List what is left of the stack of `home`; call it only while holding the stack's lock."""
    found = {r.pid: r for r in _recorded(folder)} | {r.pid: r for r in _marked(home)}
    return [found[pid] for pid in sorted(found)]


def end(processes: list[Running], seconds: float = 5.0) -> None:
    """Kill the processes and wait until they are gone.

    Raises:
        TimeoutError: one is still there after `seconds`.

    """
    deadline = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            _kill(process, deadline)


def _kill(process: Running, deadline: float) -> None:
    descriptor = os.pidfd_open(process.pid)
    try:
        # Asked again behind the descriptor, which cannot come to mean another process (pidfd_open(2)).
        if identify(process.pid) != process:
            return
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError(f"process {process.pid} does not end")
    finally:
        os.close(descriptor)


def _recorded(folder: Path) -> list[Running]:
    known: list[Running] = []
    for path in folder.glob("*.pid"):
        try:
            written = Running.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, OSError):
            continue
        if identify(written.pid) == written:
            known.append(written)
    return known


def _marked(home: Path) -> list[Running]:
    mark = b"OPENFACTORY_HOME=" + os.fsencode(home)
    deadline = time.monotonic() + EXEC_SECONDS
    found: list[Running] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = read_environment(int(entry.name), deadline).split(b"\0")
        except OSError:
            continue
        if mark in environment and any(v.startswith(PART_MARK.encode() + b"=") for v in environment):
            process = identify(int(entry.name))
            if process is not None:
                found.append(process)
    return found
