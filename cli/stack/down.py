"""`openfactory down`: stops the stack of this data folder and waits until it is gone."""

import os
import signal
import time

from cli.stack.home import is_held, read_holder
from domain.errors import Fault
from infra.settings import Settings

_STOP_SECONDS = 25.0
_PAUSE_SECONDS = 0.1


def stop_stack(settings: Settings) -> bool:
    """Stop the stack, also one that is only just starting; tells if there was one.

    Raises:
        Fault: `stack.not_stopped` if it is still there after 25 s, or was started by a version that does not say
            which process it is.

    """
    holder = read_holder(settings)
    if not is_held(settings):
        return False
    if holder is None:
        raise Fault.because(
            "stack.not_stopped",
            f"a stack runs on {settings.home}, and which process it is is not known",
            next="End it where it was started, with Ctrl-C.",
        )
    os.kill(holder.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_held(settings):
        if time.monotonic() > deadline:
            raise Fault.because(
                "stack.not_stopped",
                f"the stack (process {holder.pid}) did not stop within {_STOP_SECONDS:.0f} s",
                next=f"Kill it with: kill -9 {holder.pid}; the next openfactory up ends what it leaves.",
            )
        time.sleep(_PAUSE_SECONDS)
    return True
