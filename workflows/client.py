"""The typed client through which everybody starts and signals builds, and asks about recipes."""

from datetime import timedelta

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from domain import jobs
from domain.build.inputs import BuildRequest
from domain.canonical import digest
from domain.errors import Verdict
from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput
from workflows.commands import CancelCommand, RetryCommand, ValidateInput, ValidateResult
from workflows.connect import Connected
from workflows.jobs import RPC_LIMIT, JobCard, known_digest, refused, signal_job, start_job, unavailable
from workflows.validate import ValidateRecipeWorkflow


def workflow_id(build_id: str) -> str:
    """Name the workflow of a build."""
    return jobs.workflow_id("build", build_id)


class FactoryClient:
    """Starts, signals and asks; every method raises `Fault` (`temporal.unavailable`) when nothing answers."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def start_build(self, request: BuildRequest) -> None:
        """Start a build. Starting the same id again, while it runs or later, changes nothing."""
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
        await start_job(await self._connected(), BuildWorkflow.run, BuildInput(request=request), card)

    async def build_known(self, build_id: str, org_id: str) -> str | None:
        """Answer the input digest of the build's request, or nothing if this organization has none of that id."""
        return await known_digest(await self._connected(), workflow_id(build_id), org_id)

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
