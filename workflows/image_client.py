"""The typed client for uploaded images: everybody starts and signals their workflows through it."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Fault
from domain.image.inputs import ImageRequest
from workflows import policies
from workflows.connect import Connected
from workflows.image import ForgetImageWorkflow, ImageWorkflow
from workflows.image_models import DeleteImageCommand, ForgetInput, ImageInput

_RPC_LIMIT = timedelta(seconds=10)


class ImageClient:
    """Starts and signals; every method raises `Fault` (`temporal.unavailable`) when nothing answers."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def start_image(self, request: ImageRequest) -> None:
        """Announce an upload. Announcing the same id again, while it runs or later, changes nothing."""
        client = await self._connected()
        try:
            await client.start_workflow(
                ImageWorkflow.run,
                ImageInput(request=request),
                id=_workflow_id(request.image_id),
                task_queue=policies.CORE_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                memo={"input_digest": request.input_digest, "org_id": request.org_id},
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(policies.JOB_KIND, "image"),
                        SearchAttributePair(policies.JOB_STATE, "uploading"),
                        SearchAttributePair(policies.ORG_ID, request.org_id),
                    ]
                ),
                static_summary=f"Upload {request.name}",
                rpc_timeout=_RPC_LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _unavailable(error) from error

    async def image_known(self, image_id: str, org_id: str) -> str | None:
        """Answer the input digest of the upload's request, or nothing if this organization has none of that id."""
        client = await self._connected()
        try:
            description = await client.get_workflow_handle(_workflow_id(image_id)).describe(rpc_timeout=_RPC_LIMIT)
            memo = await description.memo()
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                return None
            raise _unavailable(error) from error
        return str(memo.get("input_digest")) if memo.get("org_id") == org_id else None

    async def image_received(self, image_id: str) -> None:
        """Say that all bytes are there; harmless to repeat, and when the upload is over."""
        client = await self._connected()
        try:
            await client.get_workflow_handle(_workflow_id(image_id)).signal("received", rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise _unavailable(error) from error

    async def delete_image(self, image_id: str, requested_by: str) -> None:
        """Forget an image, whether it is being uploaded or long there; harmless to repeat."""
        client = await self._connected()
        command = DeleteImageCommand(requested_by=requested_by)
        try:
            await client.get_workflow_handle(_workflow_id(image_id)).signal("delete", command, rpc_timeout=_RPC_LIMIT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise _unavailable(error) from error
            await self._forget(client, image_id, command)

    async def _forget(self, client: Client, image_id: str, command: DeleteImageCommand) -> None:
        try:
            await client.execute_workflow(
                ForgetImageWorkflow.run,
                ForgetInput(image_id=image_id, command=command),
                id=f"forget-{_workflow_id(image_id)}",
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                execution_timeout=policies.QUESTION_LIMIT,
                rpc_timeout=_RPC_LIMIT,
            )
        except RPCError as error:
            raise _unavailable(error) from error


def _workflow_id(image_id: str) -> str:
    return f"image-{image_id}"


def _unavailable(error: RPCError) -> Fault:
    return Fault.because(
        "temporal.unavailable", f"The workflow engine does not answer: {error.message}", next="Try again shortly."
    )
