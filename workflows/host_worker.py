"""The host worker: does what needs this machine. It holds no database address and returns facts."""

import asyncio
from contextlib import AsyncExitStack

from temporalio.client import Client
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.wiring import HostActivities, open_host
from infra import settings as configuration
from infra.telemetry import configure_logging
from workflows.policies import HEARTBEAT_THROTTLE, IMAGING_QUEUE
from workflows.running import STOP_GRACE, connect_patiently, run_until_stopped

_AT_ONCE = 16
"""Activities at once; what is heavy waits for its turn on the host's own semaphores."""


def host_workers(client: Client, host: HostActivities) -> list[Worker]:
    """Make the workers of the queue that all hosts share and of the queue that is this host's own."""
    imaging = host.imaging
    return [
        Worker(
            client,
            task_queue=IMAGING_QUEUE,
            activities=[imaging.survey_host, imaging.check_recipe, imaging.import_image, imaging.discard_upload],
            interceptors=[TypedFailures()],
            max_concurrent_activities=_AT_ONCE,
            graceful_shutdown_timeout=STOP_GRACE,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        ),
        Worker(
            client,
            task_queue=imaging.identity.queue,
            activities=[
                imaging.resolve_recipe,
                imaging.build_base_layer,
                imaging.build_package_layer,
                imaging.build_configuration_layer,
                imaging.assemble_artifacts,
                imaging.publish_artifacts,
                host.machines.boot_artifacts,
                host.machines.capture_evidence,
                host.machines.release_machines,
                host.verification.verify_machines,
            ],
            interceptors=[TypedFailures()],
            max_concurrent_activities=_AT_ONCE,
            graceful_shutdown_timeout=STOP_GRACE,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        ),
    ]


async def main() -> None:
    """Run until stopped."""
    configure_logging("host-worker")
    settings = configuration.load()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(open_host(settings))
        client = await connect_patiently(settings)
        await run_until_stopped(host_workers(client, host))


if __name__ == "__main__":
    asyncio.run(main())
