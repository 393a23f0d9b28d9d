"""How a command ends: what it says of an error, and the way out for one that has spoken with the workflow engine."""

import contextlib
import logging
import os
import sys
from typing import NoReturn

from domain.errors import FactoryError

LIBRARY = "temporalio.bridge.temporal_sdk_bridge"


def complain(error: FactoryError) -> None:
    """Say in words what is wrong, with what to do next."""
    for problem in error.problems:
        sys.stderr.write(f"openfactory: {problem.message} [{problem.code}]\n")
        if problem.next:
            sys.stderr.write(f"  {problem.next}\n")


def leave(status: int) -> NoReturn:
    """End this process with `status`, all that was written being out.

    With the engine's library loaded it ends at once: a thread of that library that gives the interpreter back while
    it is being taken down aborts the process (https://github.com/temporalio/sdk-python/issues/300).
    """
    if LIBRARY not in sys.modules:
        sys.exit(status)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
