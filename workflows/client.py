"""The typed client through which everybody starts and signals workflows."""

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
from domain.build.inputs import BuildRequest
from domain.canonical import digest
from domain.errors import Fault, Verdict
from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult
from workflows.connect import Connected
from workflows.validate import ValidateRecipeWorkflow

_RPC_LIMIT = timedelta(seconds=10)


def workflow_id(build_id: str) -> str:
    """Name the workflow of a build."""
    return f"build-{build_id}"


class FactoryClient:
    """Starts, signals and asks; every method raises `Fault` (`temporal.unavailable`) when nothing answers."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def start_build(self, request: BuildRequest) -> None:
        """Start a build. Starting the same id again, while it runs or later, changes nothing."""
        name = str(request.recipe.get("name"))
        client = await self._connected()
        try:
            await client.start_workflow(
                BuildWorkflow.run,
                BuildInput(request=request),
                id=workflow_id(request.build_id),
                task_queue=policies.CORE_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                memo={"input_digest": request.input_digest, "org_id": request.org_id},
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(policies.JOB_KIND, "build"),
                        SearchAttributePair(policies.JOB_STATE, "pending"),
                        SearchAttributePair(policies.ORG_ID, request.org_id),
                        SearchAttributePair(policies.RECIPE, name),
                    ]
                ),
                static_summary=f"Build {name}",
                rpc_timeout=_RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _unavailable(error) from error

    async def build_known(self, build_id: str, org_id: str) -> str | None:
        """Answer the input digest of the build's request, or nothing if this organization has none of that id."""
        client = await self._connected()
        try:
            description = await client.get_workflow_handle(workflow_id(build_id)).describe(rpc_timeout=_RPC_LIMIT)
            memo = await description.memo()
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                return None
            raise _unavailable(error) from error
        return str(memo.get("input_digest")) if memo.get("org_id") == org_id else None

    async def retry_build(self, build_id: str, command: RetryCommand) -> None:
        """Tell a parked build to go on; a repeated `command_id` is ignored by the workflow."""
        await self._signal(build_id, "retry", command)

    async def cancel_build(self, build_id: str, command: CancelCommand) -> None:
        """Tell a build to end; harmless to repeat."""
        await self._signal(build_id, "cancel", command)

    async def validate_recipe(self, question: ValidateInput) -> ValidateResult:
        """Ask a host whether the recipe can be built; raises what the host raised."""
        client = await self._connected()
        try:
            return await client.execute_workflow(
                ValidateRecipeWorkflow.run,
                question,
                id=f"validate-{digest(question.recipe)[:16]}",  # the same question at the same time is asked once
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=policies.QUESTION_LIMIT + timedelta(seconds=10),
                static_summary=f"Validate {question.recipe.get('name')}",
                rpc_timeout=_RPC_LIMIT,
            )
        except WorkflowFailureError as error:
            cause = error.cause
            detail = read_failure(cause) if isinstance(cause, FailureError) else None
            if detail is None:
                raise Fault.because("validate.failed", str(cause)) from error
            kind = Verdict if detail.kind == "verdict" else Fault
            raise kind(*detail.problems) from error
        except RPCError as error:
            raise _unavailable(error) from error

    async def ping(self) -> None:
        """Return if the server answers."""
        client = await self._connected()
        try:
            await client.service_client.check_health(timeout=timedelta(seconds=5))
        except RPCError as error:
            raise _unavailable(error) from error

    async def _signal(self, build_id: str, name: str, command: RetryCommand | CancelCommand) -> None:
        client = await self._connected()
        try:
            await client.get_workflow_handle(workflow_id(build_id)).signal(name, command, rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise Verdict.because(
                    "build.already_finished",
                    "The build has ended and takes no more commands.",
                    next="Start a new one with create_build.",
                ) from error
            raise _unavailable(error) from error


def _unavailable(error: RPCError) -> Fault:
    return Fault.because(
        "temporal.unavailable", f"The workflow engine does not answer: {error.message}", next="Try again shortly."
    )
