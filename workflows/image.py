"""The workflow of one upload: from its announcement to an image that can be booted, or to nothing."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows import policies
from workflows.image_models import DeleteImageCommand, ForgetInput, ImageInput, ImageOutcome
from workflows.recording import outliving_cancel, record_image

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.imaging.import_models import DiscardInput, DiscardResult, ImportInput, ImportResult
    from domain.errors import FactoryError, Problem
    from domain.image.commands import AcceptImage, DeleteImage, ReceiveImage, RejectImage, RequestImage


@workflow.defn(failure_exception_types=[FactoryError])
class ImageWorkflow:
    """Waits for an upload and imports it. Signals: `received` (all bytes are there) and `delete`."""

    @workflow.init
    def __init__(self, start: ImageInput) -> None:
        self._request = start.request
        self._received = False
        self._delete: DeleteImageCommand | None = None

    @workflow.run
    async def run(self, start: ImageInput) -> ImageOutcome:
        """Wait, check, keep. An upload that never ends is rejected after a day."""
        image_id = start.request.image_id
        window = policies.UPLOAD_WINDOW
        request = RequestImage(request=start.request, upload_seconds=window.total_seconds())
        await outliving_cancel(record_image(image_id, request))
        problems = await self._imported()
        await workflow.execute_activity(
            "discard_upload",
            DiscardInput(image_id=image_id),
            result_type=DiscardResult,
            task_queue=policies.IMAGING_QUEUE,
            schedule_to_close_timeout=policies.UPLOAD_WINDOW,
            start_to_close_timeout=policies.IMPORT_LIMIT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.IMPORT,
            summary="Remove the upload's parts",
        )
        if self._delete is not None:
            await record_image(image_id, DeleteImage(requested_by=self._delete.requested_by))
            self._state("deleted")
            return ImageOutcome(image_id=image_id, status="deleted")
        if problems:
            await record_image(image_id, RejectImage(problems=problems))
            self._state("rejected")
            workflow.set_current_details("\n".join(f"- **{p.code}**: {p.message}" for p in problems))
            return ImageOutcome(image_id=image_id, status="rejected")
        self._state("ready")
        return ImageOutcome(image_id=image_id, status="ready")

    @workflow.signal
    def received(self) -> None:
        """Say that all bytes are there."""
        self._received = True

    @workflow.signal
    def delete(self, command: DeleteImageCommand | None = None) -> None:
        """Forget the upload, also one that is being checked."""
        self._delete = self._delete or command or DeleteImageCommand()

    async def _imported(self) -> tuple[Problem, ...]:
        """Wait for the bytes and check them; answers why they cannot be used."""
        try:
            await workflow.wait_condition(
                lambda: self._received or self._delete is not None,
                timeout=policies.UPLOAD_WINDOW,
                timeout_summary="Waiting for the upload",
            )
        except TimeoutError:
            message = "The upload did not end within a day."
            return (Problem(code="image.upload_expired", message=message, next="create_image_upload"),)
        if self._delete is not None:
            return ()
        await record_image(self._request.image_id, ReceiveImage())
        self._state("checking")
        try:
            imported = await self._import()
        except ActivityError as error:
            deleted = self._delete is not None and is_cancelled_exception(error)
            return () if deleted else read_failure(error).problems
        await record_image(self._request.image_id, AcceptImage(virtual_bytes=imported.virtual_bytes))
        return ()

    async def _import(self) -> ImportResult:
        """Have a host check the bytes: after a fault again, for a day; who deletes the image does not wait for that."""
        work = workflow.start_activity(
            "import_image",
            ImportInput(request=self._request),
            result_type=ImportResult,
            task_queue=policies.IMAGING_QUEUE,
            schedule_to_close_timeout=policies.UPLOAD_WINDOW,
            start_to_close_timeout=policies.IMPORT_LIMIT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.IMPORT,
            summary=f"Check {self._request.name}",
        )
        await workflow.wait_condition(lambda: work.done() or self._delete is not None)
        if not work.done() and workflow.patched("delete-ends-import"):
            work.cancel()
        return await work

    def _state(self, state: str) -> None:
        update = policies.JOB_STATE.value_set(state)
        workflow.upsert_search_attributes([update])  # pyright: ignore[reportUnknownMemberType] - generic in the SDK


@workflow.defn(failure_exception_types=[FactoryError])
class ForgetImageWorkflow:
    """Records that an image is forgotten; its bytes stay as long as a machine is made of them."""

    @workflow.run
    async def run(self, request: ForgetInput) -> None:
        """Record it."""
        await record_image(request.image_id, DeleteImage(requested_by=request.command.requested_by))
