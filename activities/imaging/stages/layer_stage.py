"""The frame of a layer stage: its plan from standard input, its records, its end.

It runs as the first process of a PID namespace (see `infra.sandbox`), so whatever it started ends with it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from activities.imaging.assembly_plans import StageProblem
from activities.imaging.layers_plans import LayerPlan
from activities.imaging.stages.assembly_stage import Stage
from domain.errors import FactoryError, Fault, Verdict

Plan = TypeVar("Plan", bound=LayerPlan)
_NO_SPACE = "No space left on device"


def main(kind: type[Plan], work: Callable[[Plan, Stage], Awaitable[None]]) -> int:
    """Read the plan, do the work, and answer the program's exit status."""
    # The first process of a PID namespace ignores SIGTERM unless it asks for it (pid_namespaces(7)).
    signal.signal(signal.SIGTERM, _leave)
    os.umask(0o022)
    plan = kind.model_validate_json(sys.stdin.buffer.read())
    try:
        asyncio.run(_run(plan, work))
    except (FactoryError, OSError) as error:
        sys.stdout.write(_why(error).model_dump_json() + "\n")
        sys.stdout.flush()
        return 1
    return 0


async def _run(plan: Plan, work: Callable[[Plan, Stage], Awaitable[None]]) -> None:
    await work(plan, Stage(plan.epoch))


def _leave(*_: object) -> None:
    os._exit(128 + signal.SIGTERM)


def _why(error: Exception) -> StageProblem:
    if _NO_SPACE in f"{error} {getattr(error, 'tail', '')}":
        error = Fault.because(
            "disk.full",
            "The layer did not fit into the space it was given.",
            next="Free disk space or memory on the host, then retry.",
        )
    elif isinstance(error, OSError):
        error = Fault.because("stage.failed", f"The layer could not be made: {error}", next="See the log, then retry.")
    wrong = "image" if isinstance(error, Verdict) else "factory"
    problems = error.problems if isinstance(error, FactoryError) else ()
    return StageProblem(wrong=wrong, problems=problems)
