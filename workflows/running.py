"""What both kinds of worker processes share: they run until told to stop, then let go in order."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from domain.errors import Fault
from infra.notify import ready
from infra.settings import Settings
from workflows.connect import connect

STOP_GRACE = timedelta(seconds=6)
"""How long a stopping worker waits for its activities, which are cancelled and clean up."""

_log = logging.getLogger(__name__)


async def connect_patiently(settings: Settings, *, deadline: float = 60.0) -> Client:
    """Connect, waiting up to `deadline` seconds for the server to come up."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    while True:
        try:
            return await connect(settings)
        except Fault:
            if loop.time() > end:
                raise
            await asyncio.sleep(0.2)


async def run_until_stopped(workers: Sequence[Worker], *others: asyncio.Task[None]) -> None:
    """Run the workers until SIGTERM or SIGINT, or until one of them or of the `others` fails for good."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        ready()
        _log.info("worker ready: %s", ", ".join(w.task_queue for w in workers))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *others], return_when=asyncio.FIRST_COMPLETED)
        _log.info("worker stopping")
        stopping.cancel()
        for other in others:
            if other.done():
                other.result()  # raises what ended it
