"""What a test run's workflow is started with and what it leaves."""

from domain import jobs
from domain.errors import Problem
from domain.model import Value
from domain.test_run.inputs import RunRequest
from domain.test_run.state import Counts, RunStatus


class RunInput(Value):
    """A run to do."""

    request: RunRequest


class RunOutcome(Value):
    """How the run ended; `failure` names the first case that went wrong, and why."""

    run_id: str
    status: RunStatus
    counts: Counts
    failure: str | None = None
    problems: tuple[Problem, ...] = ()


def workflow_id(run_id: str) -> str:
    """Name the workflow of a test run."""
    return jobs.workflow_id("test-run", run_id)
