"""One machine for its whole life: brought up, used, and removed with everything that belongs to it.

The main loop does one thing after the other. `delete` and the loss of the host interrupt what is being done;
what the guest is asked (`run_command`, `screenshot`, `open_forward`) goes on beside it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from workflows import policies
from workflows.recording import outliving_cancel
from workflows.refusal import refused
from workflows.vm_agent import VmAgent
from workflows.vm_clock import VmClock
from workflows.vm_desk import VmDesk
from workflows.vm_lease import VmLease
from workflows.vm_power import VmPower
from workflows.vm_self import VmSelf

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.machines.vm_models import CommandDone, Screenshot, VmObserved
    from domain.errors import FactoryError
    from domain.vm import commands as c
    from domain.vm import orders as o
    from workflows.fleet_models import HostLost, Lease, Queued, Refusal
    from workflows.vm_models import Accepted, ForwardDone, VmInput, VmOutcome


@workflow.defn(failure_exception_types=[FactoryError])
class VmWorkflow:
    """A machine. Commands are updates; `delete_vm`, `stop_vm` and `extend_vm` are their form for other workflows."""

    @workflow.init
    def __init__(self, start: VmInput) -> None:
        self._start = start
        self._vm = VmSelf(start)
        self._lease = VmLease(self._vm)
        self._agent = VmAgent(self._vm)
        self._power = VmPower(self._vm, self._lease, self._agent)
        self._clock = VmClock(self._vm)
        self._desk = VmDesk(self._vm)
        self._lost: HostLost | None = None
        self._seen: list[VmObserved] = []
        self._work: asyncio.Task[None] | None = None
        self._removal: asyncio.Task[tuple[int, str | None]] | None = None
        self._outcome: VmOutcome | None = None

    @workflow.run
    async def run(self, start: VmInput) -> VmOutcome:
        """Live until deleted."""
        await self._open(start)
        while self._outcome is None:
            try:
                await self._next()
            except asyncio.CancelledError:
                self._desk.end_it("temporal", "the workflow was cancelled")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._outcome

    @workflow.update
    async def accepted(self) -> int:
        """Answer the log's version once the machine's request is recorded; fails as the request does."""
        return await self._desk.opened()

    @workflow.update
    async def start(self, order: o.StartVm) -> Accepted:
        """Power on."""
        return await self._desk.take(order)

    @workflow.update
    async def stop(self, order: o.StopVm) -> Accepted:
        """Power off."""
        return await self._desk.take(order)

    @workflow.update
    async def restart(self, order: o.RestartVm) -> Accepted:
        """Power off and on."""
        return await self._desk.take(order)

    @workflow.update
    async def snapshot(self, order: o.TakeSnapshot) -> Accepted:
        """Keep disk and memory."""
        return await self._desk.take(order)

    @workflow.update
    async def restore(self, order: o.RestoreSnapshot) -> Accepted:
        """Go back to a snapshot."""
        return await self._desk.take(order)

    @workflow.update
    async def drop_snapshot(self, order: o.DropSnapshot) -> Accepted:
        """Remove a snapshot."""
        return await self._desk.take(order)

    @workflow.update
    async def extend(self, order: o.ExtendVm) -> Accepted:
        """Live longer, or shorter."""
        return await self._desk.extend(order)

    @workflow.update
    async def delete(self, order: o.DeleteVm) -> Accepted:
        """Remove everything; interrupts what is being done."""
        return await self._delete(order)

    @workflow.update
    async def run_command(self, order: o.RunCommand) -> CommandDone:
        """Run a program in the guest and answer what it said (untrusted)."""
        return await self._desk.run_command(order)

    @workflow.update
    async def screenshot(self, order: o.TakeScreenshot) -> Screenshot:
        """Photograph the screen."""
        workflow.logger.info("screenshot for %s", order.requested_by)
        return await self._desk.screenshot()

    @workflow.update
    async def open_forward(self, order: o.OpenForward) -> ForwardDone:
        """Open a port of the guest on its host's loopback."""
        return await self._desk.open_forward(order)

    @workflow.signal
    async def delete_vm(self, order: o.DeleteVm | None = None) -> None:
        """`delete` for other workflows, and by hand without an argument; harmless to repeat."""
        await self._quietly(self._delete(order or o.DeleteVm(command_id=str(workflow.uuid4()))))

    @workflow.signal
    async def stop_vm(self, order: o.StopVm | None = None) -> None:
        """`stop` for other workflows, and by hand without an argument."""
        await self._quietly(self._desk.take(order or o.StopVm(command_id=str(workflow.uuid4()))))

    @workflow.signal
    async def extend_vm(self, order: o.ExtendVm) -> None:
        """`extend` for other workflows."""
        await self._quietly(self._desk.extend(order))

    @workflow.signal
    def touched(self) -> None:
        """Somebody uses the machine, for example its console: it is not idle."""
        self._vm.change(used_at=workflow.now())

    @workflow.signal
    def placed(self, lease: Lease) -> None:
        """The fleet has room."""
        self._lease.hear(lease)

    @workflow.signal
    def refused(self, refusal: Refusal) -> None:
        """The fleet will never have room."""
        self._lease.hear(refusal)

    @workflow.signal
    def queued(self, queued: Queued) -> None:
        """The fleet has no room now."""
        self._lease.hear(queued)

    @workflow.signal
    def host_lost(self, lost: HostLost) -> None:
        """The fleet has lost the host: nothing of this machine runs any more."""
        self._lease.hear_lost(lost.token)
        if lost.token == self._vm.token:
            self._lost = lost
            self._interrupt()
            if self._removal is not None:
                self._removal.cancel()

    @workflow.signal
    def observed(self, observed: VmObserved) -> None:
        """The host saw the machine change without being asked."""
        self._seen.append(observed)

    async def _open(self, start: VmInput) -> None:
        """Record the request; one that is refused fails the workflow, so that its id may be used again."""
        self._vm.board.open()
        if start.resume is not None:
            self._desk.open(start.resume.version)
            self._agent.resume()
            return
        try:
            version = await outliving_cancel(self._vm.record(c.RequestVm(request=start.request), "requested"))
        except FailureError as error:  # a local activity fails without the frame of an ActivityError
            refusal = refused(read_failure(error))
            await self._desk.refuse(refusal)
            raise refusal from error
        self._clock.begin()
        self._desk.open(version)

    async def _next(self) -> None:
        """Do what is due, the most urgent first; wait when nothing is."""
        if self._desk.deletion is not None or self._clock.over:
            await self._end()
        elif self._lost is not None:
            await self._after_loss(self._lost)
        elif self._seen:
            await self._after_sight(self._seen.pop(0))
        elif self._lease.late:
            await self._lease.adopt_late()
        elif not self._vm.life.begun:
            await self._interruptible(self._power.bring_up())
        elif self._desk.has_orders:
            await self._interruptible(self._obey())
        elif self._clock.warning_due:
            await self._clock.warn()
        elif self._clock.idle:
            await self._quietly(self._desk.take(self._clock.idle_order()))
        elif self._may_continue:
            workflow.continue_as_new(VmInput(request=self._start.request, notify=self._vm.notify, resume=self._vm.life))
        else:
            await self._clock.wait(self._is_due)

    def _is_due(self) -> bool:
        return (
            self._desk.deletion is not None
            or self._lost is not None
            or bool(self._seen)
            or self._lease.late
            or self._desk.has_orders
            or self._may_continue
        )

    @property
    def _may_continue(self) -> bool:
        info = workflow.info()
        long = info.is_continue_as_new_suggested() or info.get_current_history_length() > policies.LONGEST_HISTORY
        return long and workflow.all_handlers_finished() and not self._agent.waits

    async def _obey(self) -> None:
        order = self._vm.life.orders[0]
        try:
            await self._power.obey(order)
        finally:
            self._vm.change(orders=tuple(other for other in self._vm.life.orders if other != order))

    async def _interruptible(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work as a task of its own, so that `delete`, a lost host and the machine's end can reach into it."""
        self._work = asyncio.create_task(work)
        try:
            await self._clock.bounded(self._work)
            if not self._work.done():
                order = self._clock.end_order()
                self._desk.end_it(order.requested_by, order.reason)
                self._work.cancel()
            await self._work
        except (asyncio.CancelledError, FailureError) as error:
            if not self._interrupted or not is_cancelled_exception(error):
                raise
        finally:
            self._work = None

    @property
    def _interrupted(self) -> bool:
        return self._desk.deletion is not None or self._lost is not None

    def _interrupt(self) -> None:
        if self._work is not None:
            self._lease.abandon()
            self._work.cancel()

    async def _delete(self, order: o.DeleteVm) -> Accepted:
        accepted = await self._desk.take_deletion(order)
        self._interrupt()
        return accepted

    async def _end(self) -> None:
        """Remove everything, give back the lease, record the end."""
        deletion = self._desk.deletion or self._clock.end_order()
        self._desk.end_it(deletion.requested_by, deletion.reason)
        vm = self._vm
        await self._agent.end()
        fact = c.RecordDeleting(requested_by=deletion.requested_by, reason=deletion.reason)
        await vm.record(
            fact, f"deleting for {deletion.requested_by}: {deletion.reason}", status="deleting", ready=False
        )
        removed, note = await self._removed()
        await self._lease.end()
        vm.change(orders=())
        await vm.record(c.RecordDeleted(removed=removed, note=note), note or "deleted", status="deleted")
        self._outcome = VmOutcome(vm_id=vm.request.vm_id, removed=removed, note=note)

    async def _removed(self) -> tuple[int, str | None]:
        """Remove it from its host; a host that is lost meanwhile is not waited for."""
        while True:
            if self._lost is not None:
                self._lost = None
                self._vm.change(host_gone=True)
            self._removal = asyncio.create_task(self._power.remove())
            try:
                return await self._removal
            except asyncio.CancelledError:
                if self._lost is None:
                    raise

    async def _after_loss(self, lost: HostLost) -> None:
        """Say that the host is gone. What is on its disk keeps its place there; what was never made has none."""
        self._lost = None
        vm = self._vm
        await self._agent.end()
        reason = f"the host {lost.host} stopped answering; it ends its machines by itself then"
        fact = c.RecordLost(token=lost.token, what="host", reason=reason)
        await vm.record(fact, f"lost: {reason}", status="lost", ready=False, parked=True, host_gone=True)
        if not vm.life.created:
            await self._lease.end()

    async def _after_sight(self, observed: VmObserved) -> None:
        """Believe what the host saw, unless it is about an earlier lease or start, or was to be expected."""
        vm, seen = self._vm, observed.seen
        if vm.life.status != "running" or observed.boot != vm.life.boot or observed.token > vm.token:
            return
        if seen.power == "running":
            self._agent.resume()
        elif seen.power == "paused":
            await self._agent.paused(seen.reason)
        elif seen.power in {"lost", "absent"}:
            await self._agent.end()
            await self._power.vanished(seen.reason)
        else:
            await self._agent.end()
            panicked = seen.power == "panicked"
            await self._interruptible(self._power.went_off(seen.reason, panicked=panicked))

    async def _quietly(self, work: Coroutine[Any, Any, object]) -> None:
        """Do what nobody waits for an answer of."""
        try:
            await work
        except ApplicationError as error:
            workflow.logger.info("not done: %s", error)
