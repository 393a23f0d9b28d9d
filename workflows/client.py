"""The typed client through which everybody starts and signals builds, and asks about recipes."""

from contextlib import suppress
from datetime import timedelta

from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain import jobs
from domain.build.commands import DeleteBuild
from domain.build.inputs import BuildRequest, QueueTerms
from domain.canonical import digest
from domain.errors import Fault, Verdict
from domain.plan import plan_of
from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult
from workflows.connect import Connected
from workflows.delete_build import DeleteBuildInput, DeleteBuildWorkflow
from workflows.fleet_reading import read_fleet
from workflows.jobs import RPC_LIMIT, JobCard, known_digest, refused, signal_job, start_job, turn_of, unavailable
from workflows.slot_models import QueuePlace
from workflows.validate import ValidateRecipeWorkflow

_ANSWER_LIMIT = timedelta(seconds=24)
"""Nobody waits inside a request for longer than 25 seconds."""
_QUEUE_LIMIT = timedelta(seconds=2)
"""A build is shown without its place rather than late."""


def workflow_id(build_id: str) -> str:
    """Name the workflow of a build."""
    return jobs.workflow_id("build", build_id)


class FactoryClient:
    """Starts, signals and asks; every method raises `Fault` (`temporal.unavailable`) when nothing answers."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def start_build(self, request: BuildRequest, terms: QueueTerms) -> bool:
        """Start a build; false if there was one of that id already. That one, running or not, is left as it is.

        Where the plan has an allowance this waits until the log has the request; one that was refused may be asked
        for again under its id.

        Raises:
            Verdict: `build.quota`.

        """
        name = str(request.recipe.get("name"))
        card = JobCard(
            workflow_id=workflow_id(request.build_id),
            kind="build",
            state="pending",
            org_id=request.org_id,
            name=name,
            input_digest=request.input_digest,
            summary=f"Build {name}",
        )
        start = BuildInput(request=request, terms=terms)
        if plan_of(request.plan).allowance is None:
            return await start_job(await self._connected(), BuildWorkflow.run, start, card)
        there = await self.build_known(request.build_id, request.org_id) is not None
        await self._start_and_see(start, card)
        return not there

    async def _start_and_see(self, start: BuildInput, card: JobCard) -> None:
        operation = WithStartWorkflowOperation(
            BuildWorkflow.run,
            start,
            id=card.workflow_id,
            task_queue=policies.CORE_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo=card.memo,
            search_attributes=card.attributes,
            static_summary=card.summary,
            priority=turn_of(card.org_id),
        )
        try:
            await (await self._connected()).execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
                BuildWorkflow.accepted, start_workflow_operation=operation, rpc_timeout=_ANSWER_LIMIT
            )
        except WorkflowAlreadyStartedError:
            with suppress(WorkflowAlreadyStartedError):
                await operation.workflow_handle()  # the SDK has the error there too, and complains if nobody looks
        except WorkflowUpdateFailedError as error:
            raise refused(error, "build.not_accepted") from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise Fault.because(
                "temporal.unavailable",
                "The build's workflow does not answer in time.",
                next="Repeat the call with the same request_key.",
            ) from error
        except RPCError as error:
            raise unavailable(error) from error

    async def build_known(self, build_id: str, org_id: str) -> str | None:
        """Answer the input digest of the build's request, or nothing if this organization has none of that id."""
        return await known_digest(await self._connected(), workflow_id(build_id), org_id)

    async def build_queue(self, org_id: str) -> tuple[QueuePlace, ...]:
        """Tell which places an organization's builds have; `fleet.unavailable` when nobody knows."""
        fleet = await read_fleet(await self._connected(), _QUEUE_LIMIT)
        return tuple(place for place in fleet.places if place.org_id == org_id)

    async def retry_build(self, build_id: str, command: RetryCommand) -> None:
        """Tell a parked build to go on; a repeated `command_id` is ignored by the workflow."""
        await self._signal(build_id, "retry", command)

    async def cancel_build(self, build_id: str, command: CancelCommand) -> None:
        """Tell a build to end; harmless to repeat."""
        await self._signal(build_id, "cancel", command)

    async def delete_build(self, build_id: str, command: DeleteBuild) -> int:
        """Have the log say that the build is deleted, and answer its version; harmless to repeat.

        Raises:
            Verdict: `build.not_ended`.

        """
        client = await self._connected()
        try:
            return await client.execute_workflow(
                DeleteBuildWorkflow.run,
                DeleteBuildInput(build_id=build_id, command=command),
                id=f"delete-{workflow_id(build_id)}",
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=policies.QUESTION_LIMIT,
                static_summary=f"Delete build {build_id}",
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowFailureError as error:
            raise refused(error, "build.not_deleted") from error
        except RPCError as error:
            raise unavailable(error) from error

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
                priority=Priority(priority_key=policies.QUESTION_TURN),
                rpc_timeout=RPC_LIMIT,
            )
        except WorkflowFailureError as error:
            raise refused(error, "validate.failed") from error
        except RPCError as error:
            raise unavailable(error) from error

    async def ping(self) -> None:
        """Return if the server answers."""
        client = await self._connected()
        try:
            await client.service_client.check_health(timeout=timedelta(seconds=5))
        except RPCError as error:
            raise unavailable(error) from error

    async def _signal(self, build_id: str, name: str, command: RetryCommand | CancelCommand) -> None:
        if not await signal_job(await self._connected(), workflow_id(build_id), name, command):
            raise Verdict.because(
                "build.already_finished",
                "The build has ended and takes no more commands.",
                next="Start a new one with create_build.",
            )
