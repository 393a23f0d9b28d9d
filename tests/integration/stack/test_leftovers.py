"""What a process has in its environment is read at whatever moment one looks."""

import os
import subprocess
import time

import pytest

from cli.stack import leftovers

pytestmark = pytest.mark.integration

ROUNDS = 100


def test_the_environment_of_a_process_that_just_executes_a_program_is_awaited() -> None:
    for _ in range(ROUNDS):
        # exec() has closed the pipe that Popen waits at, and has not always filled the environment yet.
        with subprocess.Popen(["/bin/sleep", "1000"], env={"A": "1"}, start_new_session=True) as started:
            found = leftovers.read_environment(started.pid, time.monotonic() + 10)
            started.kill()
        assert found == b"A=1\0"


def test_a_process_that_has_ended_and_has_no_environment_is_not_waited_for() -> None:
    with subprocess.Popen(["/bin/true"], env={"A": "1"}) as started:
        os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)
        # What a thread of the kernel answers too: neither has a program.
        with pytest.raises(FileNotFoundError):
            leftovers.read_environment(started.pid, time.monotonic() + 3600)
