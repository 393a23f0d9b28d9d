"""The typed client for uploaded images: everybody starts and signals their workflows through it."""

from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from domain import jobs
from domain.image.inputs import ImageRequest
from workflows import policies
from workflows.connect import Connected
from workflows.image import ForgetImageWorkflow, ImageWorkflow
from workflows.image_models import DeleteImageCommand, ForgetInput, ImageInput
from workflows.jobs import RPC_LIMIT, JobCard, known_digest, signal_job, start_job, unavailable


class ImageClient:
    """Starts and signals; every method raises `Fault` (`temporal.unavailable`) when nothing answers."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def start_image(self, request: ImageRequest) -> None:
        """Announce an upload. Announcing the same id again, while it runs or later, changes nothing."""
        card = JobCard(
            workflow_id=_workflow_id(request.image_id),
            kind="image",
            state="uploading",
            org_id=request.org_id,
            name=request.name,
            input_digest=request.input_digest,
            summary=f"Upload {request.name}",
        )
        await start_job(await self._connected(), ImageWorkflow.run, ImageInput(request=request), card)

    async def image_known(self, image_id: str, org_id: str) -> str | None:
        """Answer the input digest of the upload's request, or nothing if this organization has none of that id."""
        return await known_digest(await self._connected(), _workflow_id(image_id), org_id)

    async def image_received(self, image_id: str) -> None:
        """Say that all bytes are there; harmless to repeat, and when the upload is over."""
        await signal_job(await self._connected(), _workflow_id(image_id), "received")

    async def delete_image(self, image_id: str, requested_by: str) -> None:
        """Forget an image, whether it is being uploaded or long there; harmless to repeat."""
        client = await self._connected()
        command = DeleteImageCommand(requested_by=requested_by)
        if await signal_job(client, _workflow_id(image_id), "delete", command):
            return
        try:
            await client.execute_workflow(
                ForgetImageWorkflow.run,
                ForgetInput(image_id=image_id, command=command),
                id=f"forget-{_workflow_id(image_id)}",
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=policies.QUESTION_LIMIT,
                rpc_timeout=RPC_LIMIT,
            )
        except RPCError as error:
            raise unavailable(error) from error


def _workflow_id(image_id: str) -> str:
    return jobs.workflow_id("image", image_id)
