"""The frame around every activity that works for a step: its log, its heartbeat, its cancellation."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from temporalio import activity

from activities.job import Job
from activities.step_log import StepLog
from domain.build.steps import StepName

HEARTBEAT_SECONDS = 3.0


class OpenLog(Protocol):
    """Opens the log of one attempt at a step."""

    def __call__(self, job_id: str, label: str, attempt: int) -> AbstractAsyncContextManager[StepLog]:
        """Open the log; leaving the context writes out what is left."""
        ...


class StepSessions:
    """Makes the frames of this worker."""

    def __init__(self, open_log: OpenLog) -> None:
        self._open_log = open_log

    @asynccontextmanager
    async def open(self, job: Job, step: StepName, *, part: str = "") -> AsyncGenerator[StepLog]:
        """Log the step's output and tell Temporal that it lives.

        A second activity of the same step names its `part`, so that the two logs are two: it sorts
        behind the first. Cancellation reaches an activity through its heartbeat, as
        `asyncio.CancelledError`.
        """
        label = job.log_label(step) + (f"~{part}" if part else "")
        async with self.labelled(job.job_id, label) as log:
            yield log

    @asynccontextmanager
    async def labelled(self, job_id: str, label: str) -> AsyncGenerator[StepLog]:
        """Do the same for the log `logs/<job_id>/<label>`."""
        attempt = activity.info().attempt
        async with self._open_log(job_id, label, attempt) as log:
            if attempt > 1:
                log.line(f"Attempt {attempt} of this step.")
            try:
                async with heartbeats():
                    yield log
            except Exception as error:
                log.line(f"Failed: {error}")
                raise
            except asyncio.CancelledError:
                log.line("Cancelled.")
                raise


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """Tell Temporal that the activity lives, for as long as it is in here."""
    beat = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beat.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)
