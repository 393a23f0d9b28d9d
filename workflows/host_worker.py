"""The host worker: does what needs this machine. It holds no database address and returns facts."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.host_wiring import HostActivities, open_host
from activities.machines.host_capacity import lease_queue
from activities.machines.host_lease import HostLease
from infra import settings as configuration
from infra.telemetry import configure_logging
from workflows.connect import connected
from workflows.policies import HEARTBEAT_THROTTLE, IMAGING_QUEUE
from workflows.running import STOP_GRACE, connect_patiently, run_until_stopped
from workflows.vm_client import VmClient

Activity = Callable[..., Any]

_AT_ONCE = 256
"""Activities at once, most of which only wait: for a guest's agent up to half an hour. What is heavy waits for its turn
on the host's own semaphores."""

_POLLS: Final = 5
"""Questions for work at once: what the SDK does by itself."""


def host_workers(client: Client, host: HostActivities, lease: HostLease) -> list[Worker]:
    """Make the workers of the queue that all hosts share, of this host's own, and of that of its lease."""
    queue = host.imaging.identity.queue
    return [
        _worker(client, IMAGING_QUEUE, _shared(host)),
        _worker(client, queue, _own(host)),
        _worker(client, lease_queue(queue), [lease.hold_host], at_once=2),
    ]


def _shared(host: HostActivities) -> list[Activity]:
    imaging = host.imaging
    return [
        imaging.survey_host,
        imaging.check_recipe,
        imaging.compare_packages,
        imaging.import_image,
        imaging.discard_upload,
        host.reports.write_report,
    ]


def _own(host: HostActivities) -> list[Activity]:
    imaging, vms = host.imaging, host.vms
    return [
        imaging.survey_host,
        imaging.resolve_recipe,
        imaging.fetch_packages,
        imaging.build_base_layer,
        imaging.build_package_layer,
        imaging.build_configuration_layer,
        imaging.assemble_artifacts,
        imaging.copy_images,
        imaging.publish_artifacts,
        host.machines.boot_artifacts,
        host.machines.capture_evidence,
        host.machines.release_machines,
        host.verification.verify_machines,
        host.verification.name_evidence,
        vms.create_vm,
        vms.start_vm,
        vms.await_agent,
        vms.stop_vm,
        vms.delete_vm,
        vms.take_snapshot,
        vms.restore_snapshot,
        vms.drop_snapshot,
        vms.inspect_vm,
        vms.take_screenshot,
        vms.run_command,
        vms.open_forward,
        host.tests.check_vm,
        host.tests.run_step,
        host.collect.collect_store,
    ]


def _worker(client: Client, queue: str, activities: list[Activity], at_once: int = _AT_ONCE) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        interceptors=[TypedFailures()],
        max_concurrent_activities=at_once,
        max_concurrent_activity_task_polls=min(at_once, _POLLS),
        graceful_shutdown_timeout=STOP_GRACE,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )


async def main() -> None:
    """Run until stopped. The VMs go on without this process, and the next one takes them up again."""
    configure_logging("host-worker")
    settings = configuration.load()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(open_host(settings))
        client = await connect_patiently(settings)
        vms = VmClient(connected(client))
        lease = host.lease(client, vms.host_up)
        attending = asyncio.create_task(host.attend(lease, vms.observed))
        stack.push_async_callback(_ended, attending)
        await run_until_stopped(host_workers(client, host.activities, lease), attending)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    asyncio.run(main())
