"""`down` ends whoever has the data folder, also while nothing is told of it yet."""

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.stack.down import stop_stack
from cli.stack.home import prepare_home, state_path
from cli.stack.status import look
from domain.errors import Fault
from infra.settings import Settings, load
from tests.integration.stack.programs import ROOT

pytestmark = pytest.mark.integration

HOLDS = """
import signal
from cli.stack.home import held, write_holder
from infra.settings import load
with held(settings := load()):
    {write_holder}
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    prepare_home(tmp_path / "h")
    return load({"OPENFACTORY_HOME": str(tmp_path / "h")})


@contextmanager
def starting(settings: Settings, write_holder: str = "write_holder(settings)") -> Generator[subprocess.Popen[str]]:
    """A supervisor that has taken the data folder and got no further."""
    code = HOLDS.format(write_holder=write_holder)
    env = {"OPENFACTORY_HOME": str(settings.home), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_a_stack_that_is_only_just_starting_is_stopped(settings: Settings) -> None:
    with starting(settings) as holder:
        view = look(settings)
        assert (view.running, view.state) == (True, None)
        assert stop_stack(settings)
        assert holder.wait(10) == -signal.SIGTERM


def test_a_stack_whose_state_is_of_another_version_is_stopped(settings: Settings) -> None:
    state_path(settings).write_text('{"pid": 1, "of": "another version"}')
    with starting(settings):
        assert stop_stack(settings)


def test_a_stack_that_nobody_can_name_is_not_called_absent(settings: Settings) -> None:
    with starting(settings, "pass"), pytest.raises(Fault, match="a stack runs on"):
        stop_stack(settings)


def test_a_supervisor_that_is_dead_is_no_stack(settings: Settings) -> None:
    with starting(settings):
        pass
    assert not stop_stack(settings)
    assert not look(settings).running
