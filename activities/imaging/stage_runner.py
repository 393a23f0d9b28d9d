"""Runs a stage in its sandbox: plan in, records out, its problems raised as our own errors."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from activities.imaging.assembly_plans import STAGE_RECORD, StageLine, StagePlan, StageProblem, StageProgress
from activities.step_log import StepLog
from domain.errors import Fault, Verdict
from infra.process import CommandError, run
from infra.sandbox import sandboxed

_REPOSITORY = Path(__file__).parents[2]


async def run_stage(
    module: str, plan: StagePlan, log: StepLog, on_progress: Callable[[float, str], None], *, seconds: float
) -> None:
    """Run the stage program `module` of `activities.imaging.stages` to its end.

    It has no network, and sees nothing of this process's environment but the search path. `seconds` is
    its deadline. Cancelling ends it with everything that it started.

    Raises:
        Verdict: the image is wrong, as the stage says.
        Fault: the stage could not do its work; `command.failed` or `command.timeout` when it did not say why.

    """
    problems: list[StageProblem] = []

    def listen(line: str) -> None:
        try:
            record = STAGE_RECORD.validate_json(line)
        except ValidationError:  # standard error of the stage itself: a traceback, or the sandbox's complaint
            log.line(line)
            return
        match record:
            case StageLine():
                log.line(record.text)
            case StageProgress():
                on_progress(record.percent, record.text)
            case StageProblem():
                problems.append(record)

    argv = [sys.executable, "-m", f"activities.imaging.stages.{module}"]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_REPOSITORY), "LC_ALL": "C.UTF-8"}
    document = plan.model_dump_json().encode()
    try:
        await run(sandboxed(argv), timeout=seconds, on_line=listen, stdin=document, env=environment)
    except CommandError as error:
        if not problems:
            raise
        found = problems[0]
        kind = Verdict if found.wrong == "image" else Fault
        raise kind(*found.problems) from error
