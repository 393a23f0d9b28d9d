"""The core worker: runs the workflows and appends to the event log. It alone holds the database's address."""

import asyncio

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.failures import TypedFailures
from activities.record import RecordActivities
from activities.wiring import open_recording
from infra import settings as configuration
from infra.telemetry import configure_logging
from workflows.catalog import WORKFLOWS
from workflows.policies import CORE_QUEUE
from workflows.running import STOP_GRACE, connect_patiently, run_until_stopped

PASSED_THROUGH = ("activities", "domain", "infra", "pydantic", "pydantic_core")
"""Rooms without I/O at import and the model library: loaded once, not once per workflow."""


def core_worker(client: Client, recording: RecordActivities) -> Worker:
    """Make the worker of the core queue."""
    return Worker(
        client,
        task_queue=CORE_QUEUE,
        workflows=list(WORKFLOWS),
        activities=[recording.record_build],
        interceptors=[TypedFailures()],
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
        ),
        graceful_shutdown_timeout=STOP_GRACE,
    )


async def main() -> None:
    """Run until stopped."""
    configure_logging("core-worker")
    settings = configuration.load()
    with open_recording(settings) as recording:
        await run_until_stopped([core_worker(await connect_patiently(settings), recording)])


if __name__ == "__main__":
    asyncio.run(main())
