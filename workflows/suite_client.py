"""The typed client of test runs and of suites' definitions."""

from datetime import timedelta

from temporalio.client import WorkflowFailureError
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import read_failure
from domain.errors import Fault, Verdict
from domain.suite.commands import AnySuiteCommand, CreateSuite
from domain.test_run.inputs import RunRequest
from workflows import policies
from workflows.commands import CancelCommand
from workflows.connect import Connected
from workflows.define import DefineWorkflow
from workflows.define_models import DefineInput, DefineResult
from workflows.test_run import RunWorkflow
from workflows.test_run_models import RunInput, workflow_id

_RPC_LIMIT = timedelta(seconds=10)


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
                rpc_timeout=_RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            handle = client.get_workflow_handle(identity, result_type=DefineResult)
        except RPCError as error:
            raise _unavailable(error) from error
        try:
            return (await handle.result()).version
        except WorkflowFailureError as error:
            raise _refused(error) from error
        except RPCError as error:
            raise _unavailable(error) from error

    async def start_run(self, request: RunRequest) -> None:
        """Start a run. Starting the same id again, while it runs or later, changes nothing."""
        plan = request.plan
        client = await self._connected()
        try:
            await client.start_workflow(
                RunWorkflow.run,
                RunInput(request=request),
                id=workflow_id(request.run_id),
                task_queue=policies.CORE_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                memo={"input_digest": request.input_digest, "org_id": request.org_id},
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(policies.JOB_KIND, plan.kind),
                        SearchAttributePair(policies.JOB_STATE, "pending"),
                        SearchAttributePair(policies.ORG_ID, request.org_id),
                        SearchAttributePair(policies.RECIPE, plan.name),
                    ]
                ),
                static_summary=f"{plan.kind.capitalize()} {plan.name}",
                rpc_timeout=_RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _unavailable(error) from error

    async def run_known(self, run_id: str, org_id: str) -> str | None:
        """Answer the input digest of the run's request, or nothing if this organization has none of that id."""
        client = await self._connected()
        try:
            description = await client.get_workflow_handle(workflow_id(run_id)).describe(rpc_timeout=_RPC_LIMIT)
            memo = await description.memo()
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                return None
            raise _unavailable(error) from error
        return str(memo.get("input_digest")) if memo.get("org_id") == org_id else None

    async def cancel_run(self, run_id: str, command: CancelCommand) -> None:
        """Tell a run to end; harmless to repeat.

        Raises:
            Verdict: `test_run.already_finished`.

        """
        client = await self._connected()
        try:
            await client.get_workflow_handle(workflow_id(run_id)).signal("cancel", command, rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                message = "The test run has ended; there is nothing left to cancel."
                raise Verdict.because("test_run.already_finished", message, next="get_test_run") from error
            raise _unavailable(error) from error


def _define_id(suite_id: str, command: AnySuiteCommand) -> str:
    return f"suite-{suite_id}" if isinstance(command, CreateSuite) else f"suite-{suite_id}-{command.command_id}"


def _refused(error: WorkflowFailureError) -> Verdict | Fault:
    cause = error.cause
    if not isinstance(cause, FailureError):
        return Fault.because("suite.not_defined", str(cause), next="Try again shortly.")
    detail = read_failure(cause)
    return (Verdict if detail.kind == "verdict" else Fault)(*detail.problems)


def _unavailable(error: RPCError) -> Fault:
    return Fault.because(
        "temporal.unavailable", f"The workflow engine does not answer: {error.message}", next="Try again shortly."
    )
