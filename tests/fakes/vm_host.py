"""A hypervisor host in memory: the activities of a machine's life, with every fault on request.

It keeps the contract that a real host keeps: it adopts what is there, refuses lower tokens, and removes what is
not listed when its own lease begins.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from temporalio import activity
from temporalio.client import AsyncActivityHandle, Client
from temporalio.service import RPCError

from activities.machines import vm_models as m
from activities.machines.host_capacity import lease_queue
from domain.errors import FactoryError, Verdict
from domain.vm.spec import PortForward

BEAT_SECONDS = 0.2


@dataclass
class Domain:
    """What of a machine is on the host."""

    token: int
    runs: bool = False
    boot: int = 0
    snapshots: dict[str, bool] = field(default_factory=dict[str, bool])


@dataclass
class FakeVmHost:
    """`failures[name]` are raised in turn; what `hold` names does not end until cancelled."""

    client: Client
    name: str
    memory: int = 4096
    cpus: int = 2
    disk: int = 100_000
    at_once: int = 100
    domains: dict[str, Domain] = field(default_factory=dict[str, Domain])
    failures: dict[str, list[FactoryError]] = field(default_factory=dict[str, list[FactoryError]])
    hold: set[str] = field(default_factory=set[str])
    held: asyncio.Event = field(default_factory=asyncio.Event)
    calls: Counter[str] = field(default_factory=Counter[str])
    holds: list[m.HoldHost] = field(default_factory=list[m.HoldHost])
    silent: bool = False
    _beating: asyncio.Task[None] | None = None

    @property
    def queue(self) -> str:
        return f"host:{self.name}"

    @property
    def lease_queue(self) -> str:
        return lease_queue(self.queue)

    def capacity(self) -> m.HostCapacity:
        return m.HostCapacity(
            host=self.name,
            queue=self.queue,
            lease_queue=self.lease_queue,
            memory=self.memory,
            cpus=self.cpus,
            disk=self.disk,
            accelerator="tcg",
            relay=f"https://{self.name}:7400",
            builds=0,
        )

    @property
    def activities(self) -> list[object]:
        return [
            self.create_vm,
            self.start_vm,
            self.await_agent,
            self.stop_vm,
            self.delete_vm,
            self.take_snapshot,
            self.restore_snapshot,
            self.drop_snapshot,
            self.take_screenshot,
            self.run_command,
            self.open_forward,
            self.inspect_vm,
        ]

    async def _enter(self, name: str, vm: m.VmRef) -> Domain | None:
        self.calls[name] += 1
        known = self.domains.get(vm.vm_id)
        if known is not None and vm.token < known.token:
            raise Verdict.because("lease.superseded", "this lease is over")
        if known is not None:
            known.token = vm.token
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        if name in self.hold:
            self.held.set()
            while name in self.hold:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        return known

    def _there(self, known: Domain | None) -> Domain:
        if known is None:
            raise Verdict.because("vm.absent", "there is no such machine here")
        return known

    @activity.defn
    async def hold_host(self, request: m.HoldHost) -> m.HostLeft:
        """Hold the lease from outside of the activity."""
        self.holds.append(request)
        listed = {held.vm_id for held in request.vms}
        for vm_id, domain in list(self.domains.items()):
            if vm_id not in listed and domain.token <= request.floor:
                del self.domains[vm_id]
        await self.stop_beating()
        self._beating = asyncio.create_task(
            self._beat(self.client.get_async_activity_handle(task_token=activity.info().task_token))
        )
        activity.raise_complete_async()

    async def _beat(self, handle: AsyncActivityHandle) -> None:
        while True:
            if not self.silent:
                try:
                    await handle.heartbeat()
                except RPCError:
                    return
            await asyncio.sleep(BEAT_SECONDS)

    async def stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
            self._beating = None

    def fence(self) -> None:
        """End every machine, as a host does that hears nothing."""
        self.silent = True
        for domain in self.domains.values():
            domain.runs = False

    @activity.defn
    async def create_vm(self, request: m.CreateVm) -> m.VmCreated:
        """Create or adopt."""
        known = await self._enter("create_vm", request.vm)
        if known is None:
            self.domains[request.vm.vm_id] = Domain(token=request.vm.token)
        return m.VmCreated(accelerator="tcg", fetched=known is None, disk_bytes=200_000)

    @activity.defn
    async def start_vm(self, request: m.StartVm) -> m.VmStarted:
        """Start or leave."""
        domain = self._there(await self._enter("start_vm", request.vm))
        if not domain.runs:
            domain.runs = True
            domain.boot += 1
        return m.VmStarted(seconds=0.5, boot=domain.boot)

    @activity.defn
    async def await_agent(self, request: m.AwaitAgent) -> m.AgentReady:
        """Answer at once."""
        self._there(await self._enter("await_agent", request.vm))
        return m.AgentReady(seconds=4.0, via="agent", addresses=("10.0.0.5",))

    @activity.defn
    async def stop_vm(self, request: m.StopVm) -> m.VmStopped:
        """Stop."""
        domain = self._there(await self._enter("stop_vm", request.vm))
        ran, domain.runs = domain.runs, False
        return m.VmStopped(how="graceful" if ran and request.grace else "forced" if ran else "already")

    @activity.defn
    async def delete_vm(self, request: m.DeleteVm) -> m.VmDeleted:
        """Remove."""
        await self._enter("delete_vm", request.vm)
        return m.VmDeleted(removed=3 if self.domains.pop(request.vm.vm_id, None) else 0)

    @activity.defn
    async def take_snapshot(self, request: m.TakeSnapshot) -> m.SnapshotTaken:
        """Keep."""
        domain = self._there(await self._enter("take_snapshot", request.vm))
        domain.snapshots[request.snapshot_id] = domain.runs
        return m.SnapshotTaken(memory=domain.runs, bytes=1000, seconds=1.5)

    @activity.defn
    async def restore_snapshot(self, request: m.RestoreSnapshot) -> m.SnapshotRestored:
        """Go back."""
        domain = self._there(await self._enter("restore_snapshot", request.vm))
        domain.runs = domain.snapshots[request.snapshot_id]
        return m.SnapshotRestored(running=domain.runs, seconds=1.0)

    @activity.defn
    async def drop_snapshot(self, request: m.DropSnapshot) -> None:
        """Forget."""
        domain = self._there(await self._enter("drop_snapshot", request.vm))
        domain.snapshots.pop(request.snapshot_id, None)

    @activity.defn
    async def inspect_vm(self, request: m.InspectVm) -> m.VmSeen:
        """Look."""
        domain = await self._enter("inspect_vm", request.vm)
        return m.VmSeen(power="absent" if domain is None else "running" if domain.runs else "stopped")

    @activity.defn
    async def take_screenshot(self, request: m.TakeScreenshot) -> m.Screenshot:
        """Photograph."""
        self._there(await self._enter("take_screenshot", request.vm))
        return m.Screenshot(key=f"screens/{request.vm.vm_id}.png", bytes=10, width=640, height=480, text="login:")

    @activity.defn
    async def run_command(self, request: m.RunCommand) -> m.CommandDone:
        """Echo."""
        self._there(await self._enter("run_command", request.vm))
        return m.CommandDone(status=0, stdout=" ".join(request.argv), stderr="")

    @activity.defn
    async def open_forward(self, request: m.OpenForward) -> m.ForwardOpened:
        """Choose a port."""
        self._there(await self._enter("open_forward", request.vm))
        forward = PortForward(guest_port=request.forward.guest_port, host_port=request.forward.host_port or 40000)
        return m.ForwardOpened(forward=forward)
