"""Runs a stage in its sandbox and turns its records into log, progress and errors."""

import sys
from pathlib import Path

from pydantic import ValidationError

from activities.imaging.assembly_plans import STAGE_RECORD, StageLine, StagePlan, StageProblem, StageProgress
from activities.step_log import StepLog
from domain.errors import Fault, Verdict
from infra.process import CommandError, run
from infra.sandbox import sandboxed

_SOURCE_ROOT = Path(__file__).parents[2]
_SECONDS = 3600.0


async def run_stage(name: str, plan: StagePlan, log: StepLog) -> None:
    """Run `activities.imaging.stages.<name>` without a network, as root of namespaces of its own.

    Cancelling ends it with everything that it started and mounted.

    Raises:
        Verdict: the stage found the recipe, a package or the image wrong.
        Fault: the stage could not do its work; `stage.failed` if it did not say why.

    """
    problem: StageProblem | None = None

    def take(line: str) -> None:
        nonlocal problem
        try:
            record = STAGE_RECORD.validate_json(line)
        except ValidationError:
            record = StageLine(text=line)  # what Python itself says when a stage breaks down
        match record:
            case StageLine():
                log.line(record.text)
            case StageProgress():
                log.progress(record.percent, record.text)
            case StageProblem():
                problem = record

    argv = sandboxed([sys.executable, "-P", "-m", f"activities.imaging.stages.{name}"])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(_SOURCE_ROOT), "LC_ALL": "C.UTF-8"}
    try:
        await run(
            argv, timeout=_SECONDS, on_line=take, stdin=plan.model_dump_json().encode(), cwd=Path("/"), env=environment
        )
    except CommandError as error:
        raise _reason(problem, error) from error


def _reason(problem: StageProblem | None, error: CommandError) -> Verdict | Fault:
    if problem is not None and problem.problems:
        return Verdict(*problem.problems) if problem.wrong == "image" else Fault(*problem.problems)
    if error.code == "command.timeout":
        return Fault.because("stage.timeout", str(error), next="See the step's log for what it waited for, then retry.")
    said = "; ".join(line for line in error.tail[-3:] if line.strip())
    return Fault.because("stage.failed", f"{error.problems[0].message} {said}", next="See the step's log, then retry.")
