"""What is done to a machine: brought up, powered off, snapshots, removed. Each effect is recorded when it is done."""

import asyncio
from collections.abc import Awaitable
from typing import Literal, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows import policies
from workflows.vm_agent import VmAgent
from workflows.vm_lease import NoRoom, VmLease
from workflows.vm_self import VmSelf

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from activities.machines.vm_models import VmSeen, VmStarted
    from domain.errors import Problem
    from domain.vm import commands as c
    from domain.vm import orders as o
    from domain.vm.state import VmStatus
    from workflows.vm_models import Kept

Step = Literal["place", "create", "start"]
Result = TypeVar("Result")


class CannotDo(Exception):
    """An effect could not be had; `detail` says whose fault it is."""

    def __init__(self, detail: FailureDetail) -> None:
        self.detail = detail
        super().__init__(detail.problems[0].message)


class VmPower:
    """Obeys one order after the other. Raises `asyncio.CancelledError` when what it does is interrupted."""

    def __init__(self, vm: VmSelf, lease: VmLease, agent: VmAgent) -> None:
        self._vm = vm
        self._lease = lease
        self._agent = agent

    async def obey(self, order: o.QueuedOrder) -> None:
        """Do what is asked; what cannot be done ends the order, never the machine."""
        vm, before = self._vm, self._vm.life.status
        vm.change(used_at=workflow.now())
        try:
            match order:
                case o.StartVm():
                    await self._start(order)
                case o.StopVm():
                    await self._stop(order)
                case o.RestartVm():
                    await self._restart(order)
                case o.TakeSnapshot():
                    await self._snapshot(order)
                case o.RestoreSnapshot():
                    await self._restore(order)
                case o.DropSnapshot():
                    await self._drop(order)
        except (CannotDo, NoRoom) as failure:
            await self._fail(order.command_id, before, failure.detail)

    async def bring_up(self, command_id: str | None = None) -> None:
        """Place, create, start. What cannot be done leaves the machine `failed`, with what there is of it."""
        vm = self._vm
        vm.change(begun=True)
        step: Step = "place"
        try:
            await self._lease.get(patience=policies.START_PATIENCE if vm.life.created else None)
            step = "create"
            await self._create()
            step = "start"
            await self._power_on(command_id)
        except NoRoom as failure:
            if command_id is not None:
                raise  # it is what it was, only the order could not be done
            await self._bring_down(step, failure.detail, command_id)
        except CannotDo as failure:
            await self._bring_down(step, failure.detail, command_id)

    async def remove(self) -> tuple[int, str | None]:
        """Remove everything from the host; answers how much, and a note when the host is not there to do it."""
        vm = self._vm
        if vm.life.lease is None:
            return 0, None
        gone = f"The host {vm.life.lease.host} was lost; it removes what is left when it comes back."
        while True:
            pickup = policies.LOST_PICKUP if vm.life.host_gone else policies.VM_PICKUP
            try:
                return (await vm.host.delete(pickup=pickup)).removed, None
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise asyncio.CancelledError from error
                if vm.life.host_gone:
                    return 0, gone
                problem = read_failure(error).problems[0]
            vm.change(f"could not be removed yet: {problem.message}")
            await workflow.sleep(policies.REMOVE_AGAIN, summary="Removing again soon")

    async def went_off(self, reason: str | None, *, panicked: bool) -> None:
        """Record that it powered itself off, or that its kernel panicked; a panicked one is powered off."""
        vm = self._vm
        if panicked:
            try:
                await self._do(vm.host.stop(0.0))
            except CannotDo as failure:
                workflow.logger.warning("a panicked machine could not be powered off: %s", failure)
        how = "panicked" if panicked else "by_itself"
        words = reason or ("the guest's kernel panicked" if panicked else "the guest powered itself off")
        fact = c.RecordStopped(token=vm.token, boot=vm.life.boot, how=how, reason=words)
        await vm.record(fact, f"off: {words}", status="stopped", ready=False, problems=())
        await self._lease.park()

    async def vanished(self, reason: str | None) -> None:
        """Record that QEMU is gone without having been asked."""
        vm, words = self._vm, reason or "QEMU vanished"
        fact = c.RecordLost(token=vm.token, what="machine", reason=words)
        await vm.record(fact, f"lost: {words}", status="lost", ready=False)
        await self._lease.park()

    async def _start(self, order: o.StartVm) -> None:
        if self._vm.life.status == "running":
            await self._end(order.command_id)
            return
        await self._begin(order.command_id, "starting")
        await self.bring_up(order.command_id)

    async def _stop(self, order: o.StopVm) -> None:
        vm = self._vm
        if vm.life.status != "running":
            await self._end(order.command_id)
            return
        await self._begin(order.command_id, "stopping")
        await self._agent.end()
        stopped = await self._do(vm.host.stop(order.grace))
        fact = c.RecordStopped(
            token=vm.token, boot=vm.life.boot, how=stopped.how, reason=order.reason, command_id=order.command_id
        )
        news = f"stopped ({stopped.how}){f': {order.reason}' if order.reason else ''}"
        await vm.record(fact, news, status="stopped", ready=False, problems=())
        await self._lease.park()

    async def _restart(self, order: o.RestartVm) -> None:
        vm = self._vm
        if vm.life.status != "running":
            self._needs(frozenset({"stopped"}), "restart")
            await self._begin(order.command_id, "starting")
            await self.bring_up(order.command_id)
            return
        await self._begin(order.command_id, "stopping")
        await self._agent.end()
        await self._do(vm.host.stop(order.grace))
        try:
            await self._power_on(order.command_id)
        except CannotDo as failure:
            await self._bring_down("start", failure.detail, order.command_id)

    async def _snapshot(self, order: o.TakeSnapshot) -> None:
        vm = self._vm
        self._needs(frozenset({"running", "stopped"}), "a snapshot")
        await self._begin(order.command_id)
        taken = await self._do(vm.host.snapshot(order.snapshot_id))
        name = order.name or order.snapshot_id[:8]
        fact = c.RecordSnapshot(
            snapshot_id=order.snapshot_id,
            name=name,
            memory=taken.memory,
            bytes=taken.bytes,
            seconds=taken.seconds,
            command_id=order.command_id,
        )
        others = tuple(s for s in vm.life.snapshots if s.snapshot_id != order.snapshot_id)
        kept = (*others, Kept(snapshot_id=order.snapshot_id, memory=taken.memory))
        with_memory = " with memory" if taken.memory else ""
        await vm.record(fact, f"snapshot {name}{with_memory} in {taken.seconds:.1f} s", snapshots=kept)

    async def _restore(self, order: o.RestoreSnapshot) -> None:
        vm = self._vm
        snapshot = self._snapshot_of(order.snapshot_id)
        self._needs(frozenset({"running", "stopped"}), "restoring")
        await self._begin(order.command_id)
        await self._agent.end()
        if snapshot.memory:
            await self._lease.get(patience=policies.START_PATIENCE)
        restored = await self._do(vm.host.restore(order.snapshot_id))
        fact = c.RecordRestored(
            snapshot_id=order.snapshot_id,
            running=restored.running,
            seconds=restored.seconds,
            forwards=restored.forwards,
            command_id=order.command_id,
        )
        status = "running" if restored.running else "stopped"
        news = f"snapshot {order.snapshot_id[:8]} restored in {restored.seconds:.1f} s"
        await vm.record(fact, news, status=status, ready=False, problems=())
        if restored.running:
            self._agent.begin()
        else:
            await self._lease.park()

    async def _drop(self, order: o.DropSnapshot) -> None:
        vm = self._vm
        self._snapshot_of(order.snapshot_id)
        await self._begin(order.command_id)
        await self._do(vm.host.drop(order.snapshot_id))
        kept = tuple(s for s in vm.life.snapshots if s.snapshot_id != order.snapshot_id)
        fact = c.RecordDropped(snapshot_id=order.snapshot_id, command_id=order.command_id)
        await vm.record(fact, f"snapshot {order.snapshot_id[:8]} removed", snapshots=kept)

    async def _create(self) -> None:
        vm = self._vm
        created = await self._do(vm.host.create())
        fact = c.RecordCreated(
            token=vm.token,
            accelerator=created.accelerator,
            fetched=created.fetched,
            disk_bytes=created.disk_bytes,
        )
        fetched = ", image fetched" if created.fetched else ""
        await vm.record(
            fact, f"created ({created.accelerator}{fetched})", created=True, accelerator=created.accelerator
        )

    async def _power_on(self, command_id: str | None) -> None:
        vm = self._vm
        started: VmStarted = await self._do(vm.host.start())
        fact = c.RecordStarted(
            token=vm.token,
            boot=started.boot,
            seconds=started.seconds,
            forwards=started.forwards,
            command_id=command_id,
        )
        await vm.record(
            fact,
            f"QEMU runs after {started.seconds:.1f} s (start {started.boot})",
            status="running",
            boot=started.boot,
            ready=False,
            problems=(),
            used_at=workflow.now(),
        )
        self._agent.begin()

    async def _bring_down(self, step: Step, detail: FailureDetail, command_id: str | None) -> None:
        """Park a machine that could not be brought up. A disk that may hold something stays, and its space."""
        vm = self._vm
        kept = vm.life.created
        if step == "create" and not kept:
            await self.remove()
        if kept:
            await self._lease.park()
        else:
            await self._lease.end()
        fact = c.RecordFailed(step=step, cause=detail.kind, problems=detail.problems, kept=kept, command_id=command_id)
        news = f"failed to {step}: {detail.problems[0].message}"
        await vm.record(fact, news, status="failed", ready=False, problems=detail.problems)

    async def _begin(self, command_id: str, status: Literal["starting", "stopping"] | None = None) -> None:
        if status is None:
            await self._vm.record(c.BeginOrder(command_id=command_id))
        else:
            await self._vm.record(c.BeginOrder(command_id=command_id), status=status)

    async def _end(self, command_id: str) -> None:
        await self._vm.record(c.EndOrder(command_id=command_id))

    async def _fail(self, command_id: str, before: VmStatus, detail: FailureDetail) -> None:
        """End an order that could not be done. The machine is what it was before, unless the host says otherwise."""
        vm = self._vm
        fact = c.EndOrder(command_id=command_id, cause=detail.kind, problems=detail.problems)
        await vm.record(fact, f"could not be done: {detail.problems[0].message}", status=before)
        if before != "running":
            await self._lease.park()
            return
        try:
            seen = await self._do(vm.host.inspect())
        except CannotDo as failure:
            workflow.logger.warning("nobody knows how the machine is: %s", failure)
            return
        await self._believe(seen)

    async def _believe(self, seen: VmSeen) -> None:
        """Record how a machine was found that should run."""
        if seen.power in {"running", "paused"}:
            self._agent.resume()
        elif seen.power in {"stopped", "panicked"}:
            await self._agent.end()
            await self.went_off(seen.reason or "it was found off", panicked=seen.power == "panicked")
        else:
            await self._agent.end()
            await self.vanished(seen.reason)

    def _needs(self, statuses: frozenset[str], what: str) -> None:
        """Refuse an order whose turn came when the machine was no longer fit for it."""
        if self._vm.life.status in statuses:
            return
        problem = Problem(
            code="vm.wrong_state",
            message=f"The machine is {self._vm.life.status}; {what} needs one that is {' or '.join(sorted(statuses))}.",
            next="Call get_vm to see its state.",
        )
        raise CannotDo(FailureDetail(kind="verdict", problems=(problem,)))

    def _snapshot_of(self, snapshot_id: str) -> Kept:
        found = next((s for s in self._vm.life.snapshots if s.snapshot_id == snapshot_id), None)
        if found is None:
            problem = Problem(
                code="snapshot.not_found", message="The machine has no such snapshot.", next="Call list_snapshots."
            )
            raise CannotDo(FailureDetail(kind="verdict", problems=(problem,)))
        return found

    @staticmethod
    async def _do(effect: Awaitable[Result]) -> Result:
        """Have an effect, and tell cancellation from failure."""
        try:
            return await effect
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            raise CannotDo(read_failure(error)) from error
