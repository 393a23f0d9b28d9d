"""The VM activities: thin, each one effect with its heartbeat. What they take and give is in `vm_models`."""

from dataclasses import dataclass

from temporalio import activity

from activities.machines.vm_models import (
    AgentReady,
    AwaitAgent,
    CommandDone,
    CreateVm,
    DeleteVm,
    DropSnapshot,
    ForwardOpened,
    InspectVm,
    OpenForward,
    RestoreSnapshot,
    RunCommand,
    Screenshot,
    SnapshotRestored,
    SnapshotTaken,
    StartVm,
    StopVm,
    TakeScreenshot,
    TakeSnapshot,
    VmCreated,
    VmDeleted,
    VmSeen,
    VmStarted,
    VmStopped,
)
from activities.machines.vm_ports import VmHost
from activities.session import heartbeats


@dataclass(frozen=True)
class VmActivities:
    """The life of VMs on one host."""

    vms: VmHost

    @activity.defn
    async def create_vm(self, request: CreateVm) -> VmCreated:
        """Make disk and definition."""
        async with heartbeats():
            return await self.vms.create(request)

    @activity.defn
    async def start_vm(self, request: StartVm) -> VmStarted:
        """Power on."""
        async with heartbeats():
            return await self.vms.start(request)

    @activity.defn
    async def await_agent(self, request: AwaitAgent) -> AgentReady:
        """Wait until the guest answers."""
        async with heartbeats():
            return await self.vms.await_agent(request)

    @activity.defn
    async def stop_vm(self, request: StopVm) -> VmStopped:
        """Power off."""
        async with heartbeats():
            return await self.vms.stop(request)

    @activity.defn
    async def delete_vm(self, request: DeleteVm) -> VmDeleted:
        """Remove everything."""
        async with heartbeats():
            return await self.vms.delete(request)

    @activity.defn
    async def take_snapshot(self, request: TakeSnapshot) -> SnapshotTaken:
        """Keep disk and memory."""
        async with heartbeats():
            return await self.vms.take_snapshot(request)

    @activity.defn
    async def restore_snapshot(self, request: RestoreSnapshot) -> SnapshotRestored:
        """Go back."""
        async with heartbeats():
            return await self.vms.restore_snapshot(request)

    @activity.defn
    async def drop_snapshot(self, request: DropSnapshot) -> None:
        """Remove a snapshot."""
        async with heartbeats():
            await self.vms.drop_snapshot(request)

    @activity.defn
    async def inspect_vm(self, request: InspectVm) -> VmSeen:
        """Tell how the VM is."""
        async with heartbeats():
            return await self.vms.inspect(request)

    @activity.defn
    async def take_screenshot(self, request: TakeScreenshot) -> Screenshot:
        """Photograph the screen."""
        async with heartbeats():
            return await self.vms.screenshot(request)

    @activity.defn
    async def run_command(self, request: RunCommand) -> CommandDone:
        """Run a program in the guest."""
        async with heartbeats():
            return await self.vms.run_command(request)

    @activity.defn
    async def open_forward(self, request: OpenForward) -> ForwardOpened:
        """Forward a port."""
        async with heartbeats():
            return await self.vms.open_forward(request)
