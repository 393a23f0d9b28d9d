"""The build workflow: one build from its request to its end, parked in between when a step fails."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from workflows import policies
from workflows.board import Board
from workflows.build_models import BuildInput, BuildOutcome, Resume
from workflows.build_pipeline import BuildPipeline, StepFailed
from workflows.build_slot import BuildSlot, NoSlot
from workflows.recording import outliving_cancel, record_build
from workflows.refusal import refused

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from domain.build.commands import (
        CancelBuild,
        CloseRetryWindow,
        CompleteBuild,
        FailBuild,
        RequestBuild,
        RetryBuild,
    )
    from domain.errors import FactoryError
    from workflows.commands import CancelCommand, RetryCommand
    from workflows.slot_models import Slot, SlotCheck, SlotRefused, SlotWait, Superseded

_COMMANDS_KEPT = 50
_ABANDON = workflow.HandlerUnfinishedPolicy.ABANDON  # of a build that is over the fleet learns when it signals


@workflow.defn(failure_exception_types=[FactoryError])
class BuildWorkflow:
    """Builds an image. Signals: `retry` (when failed) and `cancel` (at any time); both may come without an argument."""

    @workflow.init
    def __init__(self, start: BuildInput) -> None:
        self._start = start
        self._request = start.request
        self._board = Board(name=str(start.request.recipe.get("name")), build_id=start.request.build_id)
        self._pipeline = BuildPipeline(start, self._board)
        self._slot = BuildSlot(start, self._board)
        self._commands = list(start.resume.commands) if start.resume else []
        self._parked = False
        self._opened = False
        self._refusal: ApplicationError | None = None
        self._retry: RetryCommand | None = None
        self._cancel: CancelCommand | None = None
        self._work: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, start: BuildInput) -> BuildOutcome:
        """Build, and wait for a retry when that fails."""
        try:
            await self._open(start)
            await self._worked()
        except StepFailed as failure:
            return await self._after_failure(failure)
        except asyncio.CancelledError:
            return await self._cancelled()
        await self._slot.end(completed=True)
        await record_build(self._request.build_id, CompleteBuild())
        self._board.state("completed")
        self._board.ended("Completed: built, booted and verified.")
        return self._outcome("completed")

    @workflow.signal
    def retry(self, command: RetryCommand | None = None) -> None:
        """Go on from the failed step. Ignored when it is a repeat, or not meant for this try's failure."""
        command = command or RetryCommand()
        repeated = bool(command.command_id) and command.command_id in self._commands
        if self._retry is None and not repeated and self._meant(command):
            self._retry = command

    @workflow.signal
    def cancel(self, command: CancelCommand | None = None) -> None:
        """End the build; what it holds is given back first."""
        if self._cancel is None:
            self._cancel = command or CancelCommand()
            if self._work is not None:
                self._pipeline.abandon()
                self._work.cancel()

    @workflow.update
    async def accepted(self) -> None:
        """Wait until the log has the request; fails as the request does."""
        await workflow.wait_condition(lambda: self._opened or self._refusal is not None)
        if self._refusal is not None:
            raise self._refusal

    @workflow.signal(unfinished_policy=_ABANDON)
    async def slot_granted(self, slot: Slot) -> None:
        """It is this build's turn. From the fleet, like all that follow."""
        await self._slot.hear(slot)

    @workflow.signal(unfinished_policy=_ABANDON)
    async def slot_queued(self, wait: SlotWait) -> None:
        """The build waits at this place."""
        await self._slot.hear(wait)

    @workflow.signal(unfinished_policy=_ABANDON)
    async def slot_refused(self, refused: SlotRefused) -> None:
        """The queue is full."""
        await self._slot.hear(refused)

    @workflow.signal(unfinished_policy=_ABANDON)
    async def slot_checked(self, check: SlotCheck) -> None:
        """The fleet sees that this build is there: its signal arrived."""
        await self._slot.hear(check)

    @workflow.signal
    def superseded(self, newer: Superseded) -> None:
        """A newer build of the same concurrency key took this one's place."""
        self.cancel(CancelCommand(requested_by="concurrency", reason=f"superseded by build {newer.by}"))

    async def _open(self, start: BuildInput) -> None:
        """Record the request; one that is refused fails the workflow, so that its id may be used again."""
        if start.resume is None:
            try:
                await outliving_cancel(record_build(self._request.build_id, RequestBuild(request=start.request)))
            except FailureError as error:
                if not is_cancelled_exception(error):
                    await self._refuse(refused(read_failure(error)))
                raise
        self._opened = True
        self._board.state("pending")

    async def _refuse(self, refusal: ApplicationError) -> None:
        """Answer who started this build and waits, then fail."""
        self._refusal = refusal
        await workflow.wait_condition(workflow.all_handlers_finished)
        raise refusal

    async def _worked(self) -> None:
        """Work as a task of its own, so that a `cancel` signal can reach into it."""
        if self._cancel is not None:
            raise asyncio.CancelledError
        self._work = asyncio.create_task(self._in_turn())
        await self._work

    async def _in_turn(self) -> None:
        """Wait for a slot, then build."""
        if workflow.patched("build-slots"):
            try:
                await self._pipeline.take(self._slot.get())
            except NoSlot as error:
                raise StepFailed("resolve", error.detail) from error
            self._board.started()
        await self._pipeline.run()

    async def _after_failure(self, failure: StepFailed) -> BuildOutcome:
        try:
            await self._release("failed")
            await self._keep_images(failure)
            return await self._park(failure)
        except asyncio.CancelledError:
            return await self._cancelled()

    async def _keep_images(self, failure: StepFailed) -> None:
        """Publish what a failed test leaves. A second failure here must not hide the first."""
        try:
            await self._pipeline.publish_unverified(failure)
        except StepFailed as second:
            workflow.logger.warning("the images of the failed build could not be kept: %s", second)

    async def _park(self, failure: StepFailed) -> BuildOutcome:
        """Wait for `retry` or `cancel`; the leases are already given back."""
        await record_build(
            self._request.build_id,
            FailBuild(
                step=failure.step,
                generation=self._generation,
                cause=failure.detail.kind,
                problems=failure.detail.problems,
                retry_seconds=policies.RETRY_WINDOW.total_seconds(),
            ),
        )
        self._parked = True
        self._board.state("failed")
        self._board.failed(failure.step, failure.detail)
        try:
            await workflow.wait_condition(
                lambda: self._retry is not None or self._cancel is not None,
                timeout=policies.RETRY_WINDOW,
                timeout_summary="Waiting for a retry",
            )
        except TimeoutError:
            await record_build(self._request.build_id, CloseRetryWindow())
            self._board.ended("Failed: nobody retried in time.")
            return self._outcome("failed", failure)
        if self._retry is None:
            raise asyncio.CancelledError
        return await self._go_on(self._retry)

    async def _go_on(self, command: RetryCommand) -> BuildOutcome:
        """Continue as a new run, on today's code and on a host chosen afresh, with finished steps kept."""
        command_id = command.command_id or f"{workflow.info().run_id}:{self._generation}"
        generation = self._generation + 1
        await record_build(
            self._request.build_id,
            RetryBuild(generation=generation, requested_by=command.requested_by, command_id=command_id),
        )
        if self._cancel is not None and workflow.patched("cancel-after-retry"):
            raise asyncio.CancelledError  # the next run would not hear of it
        resume = Resume(
            generation=generation,
            finished=self._pipeline.finished,
            commands=(*self._commands, command_id)[-_COMMANDS_KEPT:],
        )
        workflow.continue_as_new(BuildInput(request=self._request, resume=resume, terms=self._start.terms))

    def _meant(self, command: RetryCommand) -> bool:
        """Tell whether the command is for the failure of this try.

        The log has the failure before the workflow parks, and much later when the worker dies in between: a command
        that names this try waits for the parking. One without a name is taken while the build is parked.
        """
        if command.generation is None:
            return self._parked
        if not workflow.patched("retry-generation"):
            return False  # the code before dropped what had a field that it did not know
        # After a reset by hand the log may be ahead of the workflow.
        ahead = self._parked and command.generation > self._generation
        return command.generation == self._generation or ahead

    async def _cancelled(self) -> BuildOutcome:
        """Give back what the build holds, then record its end; a cancelled workflow may still do both."""
        command = self._cancel or CancelCommand(requested_by="temporal", reason="the workflow was cancelled")
        await self._release("cancelled")
        await record_build(
            self._request.build_id, CancelBuild(requested_by=command.requested_by, reason=command.reason)
        )
        self._board.state("cancelled")
        self._board.ended(f"Cancelled by {command.requested_by}: {command.reason}")
        return self._outcome("cancelled")

    async def _release(self, reason: str) -> None:
        """Give back the machines and the slot. Machines of a host that is lost end there by their own expiry."""
        try:
            await self._pipeline.release(reason)
        except (StepFailed, ActivityError) as error:
            detail = read_failure(error) if isinstance(error, ActivityError) else error.detail
            workflow.logger.warning("machines could not be given back: %s", detail.problems[0].message)
        await self._slot.end()

    @property
    def _generation(self) -> int:
        return self._start.resume.generation if self._start.resume else 0

    def _outcome(self, status: str, failure: StepFailed | None = None) -> BuildOutcome:
        problem = failure.detail.problems[0] if failure else None
        return BuildOutcome.model_validate(
            {
                "build_id": self._request.build_id,
                "status": status,
                "generation": self._generation,
                "step": failure.step if failure else None,
                "code": problem.code if problem else None,
                "message": problem.message if problem else None,
                "artifacts": self._pipeline.artifacts,
            }
        )
