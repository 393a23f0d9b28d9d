"""Work beside the steps that only saves time: whatever it does not do, the step that needs it does."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, None] | None) -> AsyncGenerator[None]:
    """Do `work` while the body runs, and wait for it at the end; it is cancelled when the body fails.

    Its own failure is nobody's: it is told to the worker's log.
    """
    if work is None:
        yield
        return
    task = asyncio.create_task(_forgiven(work))
    try:
        yield
        await task
    except (Exception, asyncio.CancelledError):  # not GeneratorExit: a workflow that is put away may not wait
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _forgiven(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise asyncio.CancelledError from error
        workflow.logger.warning("work ahead was not done: %s", error.cause)
