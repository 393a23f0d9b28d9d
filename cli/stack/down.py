"""`openfactory down`: stops the stack of this data folder and waits until it is gone."""

import os
import signal
import time

from cli.stack.home import is_held, state_path
from cli.stack.leftovers import identify
from cli.stack.state import read_state
from domain.errors import Fault
from infra.settings import Settings

_STOP_SECONDS = 25.0
_PAUSE_SECONDS = 0.1


def stop_stack(settings: Settings) -> bool:
    """Stop the stack; tells if there was one.

    Raises:
        Fault: `stack.not_stopped` if it is still there after 25 s.

    """
    state = read_state(state_path(settings))
    if not is_held(settings) or state is None or identify(state.pid) is None:
        return False
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_held(settings):
        if time.monotonic() > deadline:
            raise Fault.because(
                "stack.not_stopped",
                f"the stack (process {state.pid}) did not stop within {_STOP_SECONDS:.0f} s",
                next=f"Kill it with: kill -9 {state.pid}; the next openfactory up ends what it leaves.",
            )
        time.sleep(_PAUSE_SECONDS)
    return True
