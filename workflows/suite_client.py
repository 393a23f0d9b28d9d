"""The typed client of test runs and of suites' definitions."""

from domain.errors import Verdict
from domain.suite.commands import AnySuiteCommand, CreateSuite
from domain.test_run.inputs import RunRequest
from workflows.commands import CancelCommand
from workflows.connect import Connected
from workflows.define import DefineWorkflow
from workflows.define_models import DefineInput
from workflows.definitions import Definition, define
from workflows.jobs import JobCard, known_digest, signal_job, start_job
from workflows.test_run import RunWorkflow
from workflows.test_run_models import RunInput, workflow_id


class SuiteClient:
    """Defines suites, starts and cancels runs.

    Every method raises `Fault` (`temporal.unavailable`) when nothing answers.
    """

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def define_suite(self, suite_id: str, command: AnySuiteCommand) -> int:
        """Record a command to a suite and answer the suite's version; a repeated command changes nothing.

        Raises:
            Verdict: what the command is refused for (see `domain.suite.decide`).

        """
        definition = Definition(_define_id(suite_id, command), f"{command.kind.capitalize()} suite {suite_id}")
        start = DefineInput(suite_id=suite_id, command=command)
        return await define(await self._connected(), DefineWorkflow.run, start, definition)

    async def start_run(self, request: RunRequest) -> None:
        """Start a run. Starting the same id again, while it runs or later, changes nothing."""
        plan = request.plan
        card = JobCard(
            workflow_id=workflow_id(request.run_id),
            kind=plan.kind,
            state="pending",
            org_id=request.org_id,
            name=plan.name,
            input_digest=request.input_digest,
            summary=f"{plan.kind.capitalize()} {plan.name}",
        )
        await start_job(await self._connected(), RunWorkflow.run, RunInput(request=request), card)

    async def run_known(self, run_id: str, org_id: str) -> str | None:
        """Answer the input digest of the run's request, or nothing if this organization has none of that id."""
        return await known_digest(await self._connected(), workflow_id(run_id), org_id)

    async def cancel_run(self, run_id: str, command: CancelCommand) -> None:
        """Tell a run to end; harmless to repeat.

        Raises:
            Verdict: `test_run.already_finished`.

        """
        if not await signal_job(await self._connected(), workflow_id(run_id), "cancel", command):
            message = "The test run has ended; there is nothing left to cancel."
            raise Verdict.because("test_run.already_finished", message, next="get_test_run")


def _define_id(suite_id: str, command: AnySuiteCommand) -> str:
    return f"suite-{suite_id}" if isinstance(command, CreateSuite) else f"suite-{suite_id}-{command.command_id}"
