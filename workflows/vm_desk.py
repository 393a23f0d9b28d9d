"""Where commands come in: each is taken once, remembered, and its repeat is answered as it was."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from workflows.refusal import refused
from workflows.vm_self import VmSelf

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail, read_failure
    from activities.machines.vm_models import CommandDone, Screenshot
    from domain.errors import Problem
    from domain.plan import plan_of
    from domain.vm import commands as c
    from domain.vm import orders as o
    from workflows.vm_models import Accepted, ForwardDone, Remembered

Result = TypeVar("Result")


class VmDesk:
    """Takes commands. What they do is done elsewhere, but for what only asks the guest."""

    def __init__(self, vm: VmSelf) -> None:
        self._vm = vm
        self._version: int | None = None
        self._refusal: ApplicationError | None = None
        self.deletion: o.DeleteVm | None = None

    @property
    def has_orders(self) -> bool:
        """Whether a command waits for its turn."""
        return bool(self._vm.life.orders)

    def open(self, version: int) -> None:
        """Begin to take commands: the machine's request is recorded."""
        self._version = version

    async def refuse(self, refusal: ApplicationError) -> None:
        """Answer that the machine was refused; who started it asked for that in the same breath."""
        self._refusal = refusal
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def opened(self) -> int:
        """Wait until the request is recorded; answers the log's version then."""
        await workflow.wait_condition(lambda: self._version is not None or self._refusal is not None)
        if self._refusal is not None or self._version is None:
            raise self._refusal or AssertionError("neither opened nor refused")
        return self._version

    def end_it(self, requested_by: str, reason: str) -> None:
        """Have the machine removed, if nobody asked for that before."""
        if self.deletion is None:
            self.deletion = o.DeleteVm(command_id="end", requested_by=requested_by, reason=reason)

    async def take(self, order: o.QueuedOrder) -> Accepted:
        """Put a command behind those that wait."""
        known = await self._known(order.command_id)
        if known is not None:
            return _as_before(known)
        snapshot_id = getattr(order, "snapshot_id", None)
        version = await self._accept(order.command_id, order.kind, order.requested_by, snapshot_id)
        if self._find(order.command_id) is None:
            life = self._vm.life.remember(order.command_id, version)
            self._vm.change(remembered=life.remembered, orders=(*life.orders, order), used_at=workflow.now())
        return Accepted(command_id=order.command_id, version=version)

    async def take_deletion(self, order: o.DeleteVm) -> Accepted:
        """Have the machine removed now; whoever asked first is named."""
        known = await self._known(order.command_id)
        if known is not None:
            return _as_before(known)
        if self.deletion is not None:
            return Accepted(command_id=order.command_id, version=self._vm.life.version)
        version = await self._accept(order.command_id, order.kind, order.requested_by)
        self._remember(order.command_id, version)
        self.deletion = self.deletion or order
        return Accepted(command_id=order.command_id, version=version)

    async def extend(self, order: o.ExtendVm) -> Accepted:
        """Move the machine's end."""
        known = await self._known(order.command_id)
        if known is not None:
            return _as_before(known)
        await self._accept(order.command_id, order.kind, order.requested_by)
        expires_at = None if order.seconds is None else workflow.now() + timedelta(seconds=order.seconds)
        fact = c.RecordExtended(expires_at=expires_at, requested_by=order.requested_by, command_id=order.command_id)
        news = f"lives until {expires_at:%Y-%m-%d %H:%M:%S} UTC" if expires_at else "stays until it is deleted"
        try:
            version = await self._vm.record(fact, news, expires_at=expires_at, warned=False, used_at=workflow.now())
        except FailureError as error:
            raise await self._ended(order.command_id, read_failure(error)) from error
        self._remember(order.command_id, version)
        return Accepted(command_id=order.command_id, version=version)

    async def run_command(self, order: o.RunCommand) -> CommandDone:
        """Run a program; a repeat is answered from memory and runs nothing."""
        known = await self._known(order.command_id)
        if known is not None:
            if known.result is not None:
                return known.result
            raise refused(_forgotten())
        version = await self._accept(order.command_id, order.kind, order.requested_by)
        self._remember(order.command_id, version)
        done = await self._asked(order.command_id, self._vm.host.run(order.argv, order.stdin, order.limit))
        await self._vm.record(c.EndOrder(command_id=order.command_id))
        life = self._vm.life.with_result(order.command_id, done)
        self._vm.change(remembered=life.remembered, used_at=workflow.now())
        return done

    async def screenshot(self) -> Screenshot:
        """Photograph the screen. Nothing changes, so nothing is recorded."""
        await self.opened()
        if self._vm.life.status != "running":
            raise refused(_not_running(self._vm.life.status))
        try:
            taken = await self._vm.host.screenshot()
        except ActivityError as error:
            raise refused(read_failure(error)) from error
        self._vm.change(used_at=workflow.now())
        return taken

    async def open_forward(self, order: o.OpenForward) -> ForwardDone:
        """Open a port; a repeat adopts the forward that is there."""
        await self._known(order.command_id)
        await self._accept(order.command_id, order.kind, order.requested_by)
        opened = await self._asked(order.command_id, self._vm.host.forward(order.guest_port, order.host_port))
        fact = c.RecordForward(forward=opened.forward, command_id=order.command_id)
        news = f"port {opened.forward.guest_port} is forwarded to {opened.forward.host_port}"
        version = await self._vm.record(fact, news, used_at=workflow.now())
        return ForwardDone(forward=opened.forward, version=version)

    async def _asked(self, command_id: str, question: Awaitable[Result]) -> Result:
        """Have the guest's answer; without one the command ends."""
        try:
            return await question
        except ActivityError as error:
            raise await self._ended(command_id, read_failure(error)) from error

    async def _ended(self, command_id: str, detail: FailureDetail) -> ApplicationError:
        """End a command that could not be done; answers what to raise."""
        await self._vm.record(c.EndOrder(command_id=command_id, cause=detail.kind, problems=detail.problems))
        return refused(detail)

    async def _accept(
        self, command_id: str, kind: o.OrderKind, requested_by: str, snapshot_id: str | None = None
    ) -> int:
        fact = c.AcceptOrder(
            command_id=command_id,
            command=kind,
            requested_by=requested_by,
            snapshot_id=snapshot_id,
            most_snapshots=plan_of(self._vm.request.plan).snapshots if kind == "snapshot" else None,
        )
        try:
            return await self._vm.record(fact, f"{kind.replace('_', ' ')} asked for by {requested_by}")
        except FailureError as error:
            raise refused(read_failure(error)) from error

    async def _known(self, command_id: str) -> Remembered | None:
        await self.opened()
        return self._find(command_id)

    def _find(self, command_id: str) -> Remembered | None:
        return next((r for r in self._vm.life.remembered if r.command_id == command_id), None)

    def _remember(self, command_id: str, version: int) -> None:
        if self._find(command_id) is None:
            self._vm.change(remembered=self._vm.life.remember(command_id, version).remembered)


def _as_before(known: Remembered) -> Accepted:
    return Accepted(command_id=known.command_id, version=known.version)


def _forgotten() -> FailureDetail:
    problem = Problem(
        code="vm.command_repeated",
        message="This command was run before under the same request_key, and what it said is no longer kept.",
        path="request_key",
        next="Use a new request_key to run it again.",
    )
    return FailureDetail(kind="verdict", problems=(problem,))


def _not_running(status: str) -> FailureDetail:
    problem = Problem(
        code="vm.wrong_state",
        message=f"The machine is {status}; screenshot needs one that is running.",
        value=status,
        next="Call get_vm to see its state, and start_vm if it should run.",
    )
    return FailureDetail(kind="verdict", problems=(problem,))
