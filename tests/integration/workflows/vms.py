"""Machines on a real Temporal server: the core, a fleet, and hosts of fakes."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Worker, WorkflowRunner

from activities.failures import TypedFailures
from domain.vm.orders import DeleteVm
from tests.fakes.vm_host import FakeVmHost
from tests.fakes.vm_recording import FakeVmRecording
from tests.integration.workflows.conftest import terminate
from tests.machines import request
from tests.sandbox import strict_runner
from workflows import policies
from workflows.catalog import WORKFLOWS
from workflows.connect import connected
from workflows.fleet import FleetWorkflow
from workflows.fleet_models import FLEET_ID, FleetInput, FleetView
from workflows.fleet_reading import read_fleet
from workflows.signals import SturdySignals
from workflows.vm import VmWorkflow
from workflows.vm_client import VmClient
from workflows.vm_models import VmInput, VmOutcome

Vm = WorkflowHandle[VmWorkflow, VmOutcome]


@dataclass
class Yard:
    """The core and some hosts, all in this process."""

    client: Client
    recording: FakeVmRecording = field(default_factory=FakeVmRecording)
    hosts: dict[str, FakeVmHost] = field(default_factory=dict[str, FakeVmHost])
    lives: dict[str, AsyncExitStack] = field(default_factory=dict[str, AsyncExitStack])
    runner: WorkflowRunner = field(default_factory=strict_runner)

    @property
    def vms(self) -> VmClient:
        return VmClient(connected(self.client))

    @property
    def fleet(self) -> WorkflowHandle[FleetWorkflow, None]:
        return self.client.get_workflow_handle_for(FleetWorkflow.run, FLEET_ID)

    @asynccontextmanager
    async def running(self, *hosts: str, memory: int = 4096) -> AsyncGenerator[None]:
        """Run the core, a new fleet and these hosts."""
        async with AsyncExitStack() as stack:
            core = self.lives["core"] = await stack.enter_async_context(AsyncExitStack())
            await core.enter_async_context(self.core())
            await self.client.start_workflow(
                FleetWorkflow.run,
                FleetInput(),
                id=FLEET_ID,
                task_queue=policies.CORE_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
            )
            stack.push_async_callback(self._end)
            for name in hosts:
                await self.add_host(stack, name, memory)
            yield

    def core(self) -> Worker:
        return Worker(
            self.client,
            task_queue=policies.CORE_QUEUE,
            workflows=list(WORKFLOWS),
            activities=[self.recording.record_vm],
            interceptors=[TypedFailures(), SturdySignals()],
            workflow_runner=self.runner,
        )

    async def add_host(self, stack: AsyncExitStack, name: str, memory: int = 4096) -> FakeVmHost:
        """Run a host and have it tell the fleet."""
        host = self.hosts[name] = FakeVmHost(self.client, name, memory=memory)
        life = self.lives[name] = await stack.enter_async_context(AsyncExitStack())
        await life.enter_async_context(self.worker(host))
        life.push_async_callback(host.stop_beating)
        await self.fleet.signal(FleetWorkflow.host_up, host.capacity())
        return host

    async def restart_core(self) -> None:
        """End the core worker and begin another one."""
        await self.lives["core"].aclose()
        await self.lives["core"].enter_async_context(self.core())

    async def kill(self, name: str) -> FakeVmHost:
        """Take a host away with everything that runs on it; what is on its disk stays."""
        host = self.hosts[name]
        host.fence()
        await self.lives[name].aclose()
        return host

    async def revive(self, stack: AsyncExitStack, name: str) -> None:
        """Have a host back, with its disk."""
        host = self.hosts[name]
        host.silent = False
        host.hold.clear()
        life = self.lives[name] = await stack.enter_async_context(AsyncExitStack())
        await life.enter_async_context(self.worker(host))
        life.push_async_callback(host.stop_beating)
        await self.fleet.signal(FleetWorkflow.host_up, host.capacity())

    @asynccontextmanager
    async def worker(self, host: FakeVmHost) -> AsyncGenerator[None]:
        """Run a host's workers: of its lease, and of its work, so much at once."""
        async with (
            self._worker(host.lease_queue, [host.hold_host], 1),
            self._worker(host.queue, self.activities(host), host.at_once),
        ):
            yield

    def activities(self, host: FakeVmHost) -> list[Any]:
        """What a host does."""
        return list(host.activities)

    def _worker(self, queue: str, activities: list[Any], at_once: int) -> Worker:
        return Worker(
            self.client,
            task_queue=queue,
            activities=activities,
            interceptors=[TypedFailures()],
            max_concurrent_activities=at_once,
            max_concurrent_activity_task_polls=1,
            max_heartbeat_throttle_interval=policies.HEARTBEAT_THROTTLE / 4,  # of two seconds' silence, most is left
        )

    async def create(self, vm_id: str | None = None, **changes: Any) -> str:
        """Ask for a machine and return its id."""
        given = request(vm_id or str(uuid.uuid4()), **changes)
        await self.vms.create(VmInput(request=given))
        return given.vm_id

    async def ready(self, **changes: Any) -> str:
        """Have a machine that runs and answers."""
        vm_id = await self.create(**changes)
        await self.recording.until(vm_id, lambda vm: vm.ready)
        return vm_id

    def handle(self, vm_id: str) -> Vm:
        return self.client.get_workflow_handle_for(VmWorkflow.run, f"vm-{vm_id}")

    async def ended(self, vm_id: str) -> VmOutcome:
        return await asyncio.wait_for(self.handle(vm_id).result(), 25)

    async def shows(self, holds: Callable[[FleetView], bool]) -> None:
        """Wait until the fleet shows it: what it was told a moment ago, it shows after its next task."""
        async with asyncio.timeout(20):
            while not holds(await read_fleet(self.client, timedelta(seconds=5))):  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(0.05)

    async def _end(self) -> None:
        """End what a failed test left."""
        for vm_id in self.recording.streams:
            await terminate(self.handle(vm_id))
        await terminate(self.fleet)


def is_free(fleet: FleetView) -> bool:
    """Tell whether no host gives any of its memory."""
    return all(host.free.memory == host.total.memory for host in fleet.hosts)


async def remove(yard: Yard, vm_id: str) -> None:
    """Delete a machine, and see that nothing of it is left undone."""
    await yard.vms.command(vm_id, DeleteVm(command_id="end"))
    await yard.ended(vm_id)
    state = yard.recording.state(vm_id)
    assert (state.status, state.open_orders) == ("deleted", ())
