"""How a machine's workflow asks its host to do things: typed, with the limits and retries of each."""

from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.machines import vm_models as m
    from domain.model import Value
    from domain.vm.inputs import VmRequest
    from workflows.fleet_models import Lease

Result = TypeVar("Result")


class VmHost:
    """One machine under one lease. Every request carries the lease's token."""

    def __init__(self, request: VmRequest, lease: Lease) -> None:
        self._request = request
        self._queue = lease.queue
        self._vm = m.VmRef(vm_id=request.vm_id, org_id=request.org_id, token=lease.token)

    async def create(self) -> m.VmCreated:
        """Make disk and definition, or adopt what is there."""
        return await self._do("create_vm", m.CreateVm(vm=self._vm, spec=self._request.spec), m.VmCreated)

    async def start(self) -> m.VmStarted:
        """Power on."""
        return await self._do("start_vm", m.StartVm(vm=self._vm), m.VmStarted)

    async def inspect(self) -> m.VmSeen:
        """Look at how it is."""
        return await self._ask("inspect_vm", m.InspectVm(vm=self._vm), m.VmSeen)

    async def await_agent(self) -> m.AgentReady:
        """Wait until the guest answers."""
        return await self._do("await_agent", m.AwaitAgent(vm=self._vm), m.AgentReady)

    async def stop(self, grace: float) -> m.VmStopped:
        """Power off."""
        return await self._do("stop_vm", m.StopVm(vm=self._vm, grace=grace), m.VmStopped)

    async def delete(self, *, pickup: timedelta = policies.VM_PICKUP) -> m.VmDeleted:
        """Remove everything."""
        return await self._do("delete_vm", m.DeleteVm(vm=self._vm), m.VmDeleted, pickup=pickup)

    async def snapshot(self, snapshot_id: str) -> m.SnapshotTaken:
        """Keep disk and memory."""
        request = m.TakeSnapshot(vm=self._vm, snapshot_id=snapshot_id)
        return await self._do("take_snapshot", request, m.SnapshotTaken)

    async def restore(self, snapshot_id: str) -> m.SnapshotRestored:
        """Go back to a snapshot."""
        request = m.RestoreSnapshot(vm=self._vm, snapshot_id=snapshot_id)
        return await self._do("restore_snapshot", request, m.SnapshotRestored)

    async def drop(self, snapshot_id: str) -> None:
        """Remove a snapshot."""
        request = m.DropSnapshot(vm=self._vm, snapshot_id=snapshot_id)
        await self._do("drop_snapshot", request, type(None))

    async def screenshot(self) -> m.Screenshot:
        """Photograph the screen."""
        return await self._ask("take_screenshot", m.TakeScreenshot(vm=self._vm), m.Screenshot)

    async def run(self, argv: tuple[str, ...], stdin: str, limit: float) -> m.CommandDone:
        """Run a program in the guest, once: a program is not repeated on a doubt."""
        request = m.RunCommand(vm=self._vm, argv=argv, stdin=stdin, limit=limit)
        return await self._ask("run_command", request, m.CommandDone, retry=policies.ONCE)

    async def forward(self, guest_port: int, host_port: int | None) -> m.ForwardOpened:
        """Open a port."""
        forward = m.PortForward(guest_port=guest_port, host_port=host_port)
        return await self._ask("open_forward", m.OpenForward(vm=self._vm, forward=forward), m.ForwardOpened)

    async def _do(
        self, activity: str, request: Value, result: type[Result], *, pickup: timedelta = policies.VM_PICKUP
    ) -> Result:
        """Run an effect. A cancelled one is waited for, so that the host has cleaned up before it goes on."""
        return await workflow.execute_activity(
            activity,
            request,
            result_type=result,
            task_queue=self._queue,
            start_to_close_timeout=policies.VM_LIMIT[activity],
            schedule_to_start_timeout=pickup,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.FAULTS,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{activity.replace('_', ' ')}: {self._request.spec.name}",
        )

    async def _ask(
        self,
        activity: str,
        request: Value,
        result: type[Result],
        *,
        retry: RetryPolicy = policies.QUESTION_ATTEMPTS,
    ) -> Result:
        """Ask what a caller waits for: without long waits for the host."""
        return await workflow.execute_activity(
            activity,
            request,
            result_type=result,
            task_queue=self._queue,
            start_to_close_timeout=policies.VM_LIMIT[activity],
            schedule_to_start_timeout=policies.LOST_PICKUP,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=retry,
            summary=f"{activity.replace('_', ' ')}: {self._request.spec.name}",
        )
