"""A stack in the background, for a command that needs one: started, waited for, stopped."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from cli.stack.down import stop_stack
from cli.stack.environment import ROOT
from cli.stack.home import is_held, prepare_home, state_path
from cli.stack.logfile import last_lines
from cli.stack.state import StackState, read_state
from domain.errors import Fault
from infra.settings import Settings

_READY_SECONDS = 240.0
_STOP_SECONDS = 30.0
_PAUSE_SECONDS = 0.1

Say = Callable[[str], None]


class BackgroundStack:
    """The stack of a data folder: the one that runs there, or one that is started for as long as this needs it.

    What was started ends with this process, even if that is killed, unless it is to be kept.
    """

    def __init__(self, settings: Settings, say: Say, *, keep: bool) -> None:
        self._settings = settings
        self._say = say
        self._keep = keep
        self._log = settings.home / "logs" / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def started_here(self) -> bool:
        """Whether it did not run before."""
        return self._process is not None

    def start(self) -> StackState:
        """Return once everything is ready, telling of each part.

        Raises:
            Fault: `stack.not_started`, with its last words.

        """
        prepare_home(self._settings.home)
        if not is_held(self._settings):
            self._launch()
        return self._wait()

    def stop(self) -> None:
        """Stop what was started here, unless it is to be kept."""
        if self._process is None or self._keep:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _launch(self) -> None:
        self._say("starting the stack")
        # On SIGTERM the supervisor stops its parts in order, so that is what a parent's death sends.
        with_us = () if self._keep else ("setpriv", "--pdeathsig", "TERM", "--")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                (*with_us, sys.executable, "-P", "-m", "cli", "up"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd="/",
                start_new_session=True,
            )

    def _wait(self) -> StackState:
        deadline = time.monotonic() + _READY_SECONDS
        told: set[str] = set()
        while time.monotonic() < deadline:
            state = read_state(state_path(self._settings)) if is_held(self._settings) else None
            if state is not None:
                self._tell(state, told)
                if state.ready:
                    return state
            if self._process is not None and self._process.poll() is not None:
                raise self._not_started("it ended")
            time.sleep(_PAUSE_SECONDS)
        if self._process is not None:
            stop_stack(self._settings)
        raise self._not_started(f"it was not ready within {_READY_SECONDS:.0f} s")

    def _tell(self, state: StackState, told: set[str]) -> None:
        for part in state.parts:
            if part.name not in told and part.condition in {"ready", "done"}:
                told.add(part.name)
                self._say(f"{part.name} {part.condition}")

    def _not_started(self, what: str) -> Fault:
        said = "\n  ".join(last_lines(self._log, 6))
        error = Fault.because(
            "stack.not_started",
            f"the stack did not come up: {what}. It said last:\n  {said}",
            next=f"Read {self._log}, or run: openfactory doctor",
        )
        return Fault(*error.problems)
