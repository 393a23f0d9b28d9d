"""The typed client of test runs and of suites' definitions."""

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain.errors import Verdict
from domain.suite.commands import AnySuiteCommand, CreateSuite
from domain.test_run.inputs import RunRequest
from workflows import policies
from workflows.commands import CancelCommand
from workflows.connect import Connected
from workflows.define import DefineWorkflow
from workflows.define_models import DefineInput, DefineResult
from workflows.jobs import RPC_LIMIT, JobCard, known_digest, refused, signal_job, start_job, unavailable
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
        client = await self._connected()
        identity = _define_id(suite_id, command)
        try:
            handle = await client.start_workflow(
                DefineWorkflow.run,
                DefineInput(suite_id=suite_id, command=command),
                id=identity,
                task_queue=policies.CORE_QUEUE,
                # One that was refused may be asked again: the suite may have changed meanwhile.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=policies.QUESTION_LIMIT,
                static_summary=f"{command.kind.capitalize()} suite {suite_id}",
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            handle = client.get_workflow_handle(identity, result_type=DefineResult)
        except RPCError as error:
            raise unavailable(error) from error
        try:
            return (await handle.result()).version
        except WorkflowFailureError as error:
            raise refused(error, "suite.not_defined") from error
        except RPCError as error:
            raise unavailable(error) from error

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
