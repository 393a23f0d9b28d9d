import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.stack.child import Child
from cli.stack.forked import fork, socket_path
from cli.stack.forkserver import ENVIRONMENT_BYTES
from cli.stack.logfile import RotatingLog
from cli.stack.part import Part
from cli.stack.parts import SHARED
from tests.integration.stack.programs import ROOT, SERVES, part
from tests.integration.stack.watched import alive, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SHOWS_ITSELF = """
    import infra.notify, json, os, pathlib, signal, sys
    seen = {name: pathlib.Path("/proc/self", name).read_text().split("\\0") for name in ("cmdline", "environ")}
    environment = sorted(v for v in seen["environ"] if v)
    assert environment == sorted(f"{k}={v}" for k, v in os.environ.items()), environment
    print(json.dumps({
        "argv": [word for word in seen["cmdline"] if word][:3], "names": [v.partition("=")[0] for v in environment],
        "fds": os.listdir("/proc/self/fd"), "cwd": os.getcwd(), "leads": os.getsid(0) == os.getpid(),
        "loaded": "temporalio.worker" in sys.modules, "parent": os.getppid(),
    }), flush=True)
    infra.notify.ready()
    signal.pause()
"""
ENDS_LATER = """
    import infra.notify, sys, time
    infra.notify.ready()
    time.sleep(0.2)
    sys.exit(7)
"""


def server(home: Path) -> Part:
    made = part(home, "forkserver", "")
    argv = (sys.executable, "-m", "cli.stack.forkserver", str(socket_path(home)), "temporalio.worker")
    return made.model_copy(update={"argv": argv, "env": made.env | {"OPENFACTORY_ROOM": "-" * ENVIRONMENT_BYTES}})


def forked(home: Path, name: str, code: str, **env: str) -> Part:
    made = part(home, name, code, after=("forkserver",), forked=True)
    argv = (sys.executable, "-m", "tests.integration.stack.one_program", code)
    return made.model_copy(update={"argv": argv, "env": made.env | env})


async def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        await asyncio.sleep(0.02)


def holds(pid: int, words: bytes) -> bool:
    """Whether a process has these words anywhere in what it can write to."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, mode = line.split()[:2]
        if "w" in mode:
            start, end = (int(edge, 16) for edge in span.split("-"))
            with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
                memory.seek(start)
                if words in (memory.read(end - start) or b""):
                    return True
    return False


async def test_a_forked_part_looks_as_if_it_had_been_started_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path, server(tmp_path), forked(tmp_path, "shows", SHOWS_ITSELF, OF_WORD="ä b")) as stack:
        parent = await stack.until("forkserver", "ready")
        await stack.until("shows", "ready")
    shown = json.loads((tmp_path / "shows.log").read_text())
    assert shown["argv"] == [sys.executable, "-m", "tests.integration.stack.one_program"]
    assert shown["names"] == ["NOTIFY_SOCKET", "OF_WORD", "OPENFACTORY_HOME", "OPENFACTORY_PART", "PATH", "PYTHONPATH"]
    assert shown["fds"] == ["0", "1", "2", "3"]  # the fourth is the listing itself
    assert shown["cwd"] == "/"
    assert shown["leads"]
    assert shown["loaded"]
    assert shown["parent"] == parent.pid


async def test_how_a_forked_part_ended_is_told_and_it_is_started_again(tmp_path: Path) -> None:
    given = (server(tmp_path), forked(tmp_path, "ends", ENDS_LATER), forked(tmp_path, "serves", SERVES))
    async with running(tmp_path, *given) as stack:
        assert "ended with status 7" in str((await stack.until("ends", "restarting", restarts=1)).note)
        first = await stack.until("serves", "ready")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        assert "signal 9" in str((await stack.until("serves", "restarting", restarts=1)).note)
        again = await stack.until("serves", "ready", restarts=1)
        assert again.pid != first.pid
        assert (await stack.until("forkserver", "ready")).restarts == 0
    assert again.pid is not None
    assert not alive(again.pid)


async def test_forked_parts_die_with_the_server_and_all_come_back(tmp_path: Path) -> None:
    given = (server(tmp_path), forked(tmp_path, "a", SERVES), forked(tmp_path, "b", SERVES))
    async with running(tmp_path, *given) as stack:
        before = [await stack.until(name, "ready") for name in ("forkserver", "a", "b")]
        assert before[0].pid is not None
        os.kill(before[0].pid, signal.SIGKILL)
        for state in before:
            assert (await stack.until(state.name, "ready", restarts=1)).pid != state.pid
            assert state.pid is not None
            await until_gone(state.pid)


async def test_nobody_has_anothers_secrets(tmp_path: Path) -> None:
    # Put together where it is used, so that the program's text does not hold it.
    first, second = (forked(tmp_path, name, SERVES, OF_SECRET=f"{name}-se" + "cret-4711") for name in ("a", "b"))
    second = second.model_copy(update={"after": ("forkserver", "a")})
    async with running(tmp_path, server(tmp_path), first, second) as stack:
        states = [await stack.until(name, "ready") for name in ("a", "b", "forkserver")]
        pids = [state.pid for state in states if state.pid is not None]
        assert [holds(pid, b"a-secret-4711") for pid in pids] == [True, False, False]
        assert [holds(pid, b"b-secret-4711") for pid in pids] == [False, True, False]


@pytest.mark.parametrize("env", [{}, {"OF_LARGE": "x" * ENVIRONMENT_BYTES}])
async def test_without_a_server_or_with_too_large_an_environment_a_part_is_started_by_itself(
    tmp_path: Path, env: dict[str, str]
) -> None:
    others = (server(tmp_path),) if env else ()
    alone = forked(tmp_path, "serves", SERVES, **env)
    given = alone if others else alone.model_copy(update={"after": ()})
    async with running(tmp_path, *others, given) as stack:
        state = await stack.until("serves", "ready")
        assert int(Path(f"/proc/{state.pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()


async def test_a_server_that_stands_still_is_not_waited_for_and_forks_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.stack.forked._ANSWER_SECONDS", 0.3)
    mark = tmp_path / "began"
    touches = forked(tmp_path, "touches", f"import pathlib; pathlib.Path({str(mark)!r}).touch()")
    async with running(tmp_path, server(tmp_path), forked(tmp_path, "other", SERVES)) as stack:
        state = await stack.until("forkserver", "ready")
        await stack.until("other", "ready")
        assert state.pid is not None
        os.kill(state.pid, signal.SIGSTOP)
        with (tmp_path / "out").open("wb") as out:
            assert await fork(socket_path(tmp_path), touches.argv[2:], touches.env, out.fileno()) is None
        os.kill(state.pid, signal.SIGCONT)
        # It serves on, in order: what it is asked now comes after that.
        child = await Child.start(
            forked(tmp_path, "next", SERVES).argv, server(tmp_path).env, RotatingLog(tmp_path / "next.log"),
            tmp_path / "next.notify", forkserver=socket_path(tmp_path),
        )  # fmt: skip
        await asyncio.wait_for(child.notified.wait(), 10)
        child.kill()
        assert await child.wait() == -signal.SIGKILL
    assert not mark.exists()


def test_what_is_shared_starts_no_thread() -> None:
    code = f"import importlib, os; [importlib.import_module(m) for m in {SHARED}]; print(os.listdir('/proc/self/task'))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.count("'") == 2  # one name
