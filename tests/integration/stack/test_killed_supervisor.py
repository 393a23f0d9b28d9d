"""A supervisor that is killed leaves nothing that the next one does not find."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from cli.stack import leftovers
from infra import embedded_postgres
from tests.integration.stack.programs import ROOT

pytestmark = pytest.mark.integration

PROGRAMS = Path(__file__).with_name("programs.py")


class Supervising:
    """A supervisor in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.pids: dict[str, int] = {}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS), "supervise", str(home)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def until(self, name: str, condition: str) -> None:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            part, state, pid = line.split()
            if pid != "None":
                self.pids[part] = int(pid)
            if (part, state) == (name, condition):
                return
        pytest.fail(f"the supervisor ended before {name} was {condition}")


@contextlib.contextmanager
def supervising(home: Path) -> Generator[Supervising]:
    supervisor = Supervising(home)
    try:
        with supervisor.process:
            yield supervisor
            supervisor.process.kill()
    finally:
        leftovers.end(leftovers.find(home, home))


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_parts_of_a_killed_supervisor_die_with_it(tmp_path: Path) -> None:
    with supervising(tmp_path) as stack:
        stack.until("worker", "ready")
        stack.process.kill()
        assert within(5, lambda: not [p for p in stack.pids.values() if leftovers.identify(p)])


def test_what_a_part_had_detached_is_found_and_ended_by_the_next(tmp_path: Path) -> None:
    with supervising(tmp_path) as stack:
        stack.until("worker", "ready")
        stack.process.kill()
        assert within(5, lambda: len(leftovers.find(tmp_path, tmp_path)) == 1)
        leftovers.end(leftovers.find(tmp_path, tmp_path))
        assert leftovers.find(tmp_path, tmp_path) == []


def test_a_process_that_only_has_the_number_of_an_old_part_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        (tmp_path / "server.pid").write_text(leftovers.Running(pid=stranger.pid, started=1).model_dump_json())
        assert leftovers.find(tmp_path, tmp_path) == []
        leftovers.end([leftovers.Running(pid=stranger.pid, started=1)])
        assert stranger.poll() is None
        stranger.kill()


def test_the_parts_of_another_home_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with supervising(other) as stack:
        stack.until("worker", "ready")
        assert leftovers.find(tmp_path, tmp_path) == []
        assert leftovers.find(other, other) != []


def test_postgres_dies_with_its_parent_though_it_runs_in_a_user_namespace(tmp_path: Path) -> None:
    """A change of credentials clears the signal of PR_SET_PDEATHSIG; making a namespace must not."""
    inner = embedded_postgres.server_argv(tmp_path / "none", 1)
    prefix = inner[: inner.index("--") + 1] if "unshare" in inner else []
    code = (
        "import ctypes, subprocess, sys; p = subprocess.Popen("
        f"['setpriv', '--pdeathsig', 'KILL', '--', *{prefix!r}, 'sleep', '1000']); print(p.pid, flush=True); p.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert within(5, lambda: Path(f"/proc/{child}/comm").read_text().strip() == "sleep")
        descriptor = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
        try:
            assert select.select([descriptor], [], [], 5)[0]
        finally:
            os.close(descriptor)
