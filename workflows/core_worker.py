"""The core worker: runs the workflows and appends to the event log. It alone holds the database's address."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.core_wiring import CoreActivities, open_core, open_keeping, rebuilds_of
from activities.failures import TypedFailures
from infra import settings as configuration
from infra.telemetry import configure_logging
from workflows.catalog import WORKFLOWS, workflow_runner
from workflows.connect import connected
from workflows.policies import CORE_QUEUE
from workflows.running import STOP_GRACE, connect_patiently, run_until_stopped
from workflows.schedules import ensure_schedules
from workflows.signals import SturdySignals
from workflows.vm_client import VmClient


def core_worker(client: Client, core: CoreActivities, keeping: Sequence[Callable[..., Any]]) -> Worker:
    """Make the worker of the core queue."""
    return Worker(
        client,
        task_queue=CORE_QUEUE,
        workflows=list(WORKFLOWS),
        activities=[*core.all(), *keeping],
        interceptors=[TypedFailures(), SturdySignals()],
        workflow_runner=workflow_runner(),
        graceful_shutdown_timeout=STOP_GRACE,
    )


async def main() -> None:
    """Run until stopped."""
    configure_logging("core-worker")
    settings = configuration.load()
    async with AsyncExitStack() as stack:
        core = stack.enter_context(open_core(settings))
        client = await connect_patiently(settings)
        keeping = await stack.enter_async_context(open_keeping(settings, client))
        await VmClient(connected(client)).ensure_fleet()
        await ensure_schedules(client)
        rebuilds = rebuilds_of(settings, core.log, client, CORE_QUEUE)
        await run_until_stopped([core_worker(client, core, [*keeping, *rebuilds.all()])])


if __name__ == "__main__":
    asyncio.run(main())
