"""Commanding machines: power, snapshots, their end. Each command is done once for each request key."""

from contextlib import suppress
from typing import Any

from domain.caller import Caller
from domain.console import ConsoleChannel, ConsoleLink
from domain.errors import Fault, Verdict
from domain.plan import check_ttl, plan_of
from domain.vm import orders as o
from domain.vm.state import VmState
from domain.vm.views import VmView
from service import consoles
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id
from service.permissions import require
from service.vm_lookup import visible_vm, vm_state
from service.vm_view import FOLLOW, accepted, vm_view


async def start_vm(factory: Factory, caller: Caller, vm_id: str, *, request_key: str | None = None) -> VmView:
    """Power on a machine that is stopped, failed or lost; one that runs is left as it is.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`.

    """
    return await _command(factory, caller, "start_vm", vm_id, request_key, o.StartVm)


async def stop_vm(
    factory: Factory, caller: Caller, vm_id: str, *, grace_s: float = o.GRACE, request_key: str | None = None
) -> VmView:
    """Power off: the guest is asked, and after `grace_s` seconds the plug is pulled.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`.

    """
    return await _command(factory, caller, "stop_vm", vm_id, request_key, o.StopVm, grace=grace_s)


async def restart_vm(
    factory: Factory, caller: Caller, vm_id: str, *, grace_s: float = o.GRACE, request_key: str | None = None
) -> VmView:
    """Power off and on.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.wrong_state`.

    """
    return await _command(factory, caller, "restart_vm", vm_id, request_key, o.RestartVm, grace=grace_s)


async def delete_vm(factory: Factory, caller: Caller, vm_id: str, *, request_key: str | None = None) -> VmView:
    """Remove a machine and all that belongs to it, whatever it does; one that is gone stays gone.

    Raises:
        Verdict: `vm.not_found`.

    """
    require(caller, "delete_vm")
    state = await visible_vm(factory, caller, vm_id)
    if state is not None and state.status in {"deleting", "deleted"}:
        return vm_view(state, now=factory.now(), replayed=True)
    return await _command(factory, caller, "delete_vm", vm_id, request_key, o.DeleteVm)


async def snapshot_vm(
    factory: Factory, caller: Caller, vm_id: str, *, name: str | None = None, request_key: str | None = None
) -> VmView:
    """Keep the disk and, while it runs, the memory. The snapshot's id is derived from the command's.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.wrong_state`, `snapshot.quota`.

    """
    tool = "snapshot_vm"
    snapshot_id = factory.new_id() if request_key is None else derived_id(vm_id, "snapshot", request_key)
    return await _command(factory, caller, tool, vm_id, request_key, o.TakeSnapshot, snapshot_id=snapshot_id, name=name)


async def restore_vm(
    factory: Factory, caller: Caller, vm_id: str, snapshot_id: str, *, request_key: str | None = None
) -> VmView:
    """Go back to a snapshot; what happened since is lost.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.wrong_state`, `snapshot.not_found`.

    """
    return await _command(factory, caller, "restore_vm", vm_id, request_key, o.RestoreSnapshot, snapshot_id=snapshot_id)


async def delete_snapshot(
    factory: Factory, caller: Caller, vm_id: str, snapshot_id: str, *, request_key: str | None = None
) -> VmView:
    """Remove a snapshot.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.wrong_state`, `snapshot.not_found`.

    """
    return await _command(
        factory, caller, "delete_snapshot", vm_id, request_key, o.DropSnapshot, snapshot_id=snapshot_id
    )


async def extend_vm(
    factory: Factory,
    caller: Caller,
    vm_id: str,
    *,
    minutes: int | None = None,
    persistent: bool = False,
    request_key: str | None = None,
) -> VmView:
    """Let a machine live so many minutes from now, or until it is deleted.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `vm.over_plan`, or `argument.conflict` unless one of the two is given.

    """
    require(caller, "extend_vm")
    if (minutes is None) != persistent:
        raise Verdict.because(
            "argument.conflict", "Give either minutes or persistent.", path="minutes", next="Name one of the two."
        )
    plan = plan_of(caller.plan)
    problems = check_ttl(plan, minutes * 60) if minutes is not None else ()
    if problems:
        raise Verdict(*problems)
    if persistent and not plan.persistent:
        message = f"The plan {plan.name} has no machines that stay."
        raise Verdict.because("vm.over_plan", message, path="persistent", next="Give minutes instead.")
    seconds = None if minutes is None else minutes * 60
    return await _command(factory, caller, "extend_vm", vm_id, request_key, o.ExtendVm, seconds=seconds)


async def console_link(
    factory: Factory, caller: Caller, vm_id: str, channel: ConsoleChannel, *, view_only: bool
) -> ConsoleLink:
    """Make a link to the machine's console; a machine somebody looks at is not idle.

    Raises:
        Verdict: as `service.consoles.get_console_link`.

    """
    link = await consoles.get_console_link(factory, caller, vm_id, channel, view_only=view_only)
    with suppress(Fault):
        await factory.vms.touch(vm_id)
    return link


async def _command(
    factory: Factory,
    caller: Caller,
    tool: str,
    vm_id: str,
    request_key: str | None,
    order: type[Any],
    **more: Any,  # noqa: ANN401 - the order's own fields, which its model checks
) -> VmView:
    """Have the machine's workflow take a command, and answer with the machine once that shows."""
    require(caller, tool)
    state = await visible_vm(factory, caller, vm_id)
    command_id = factory.new_id() if request_key is None else derived_id(vm_id, tool, request_key)
    if state is not None and state.order(command_id) is not None:
        return vm_view(state, now=factory.now(), replayed=True)
    made = order(command_id=command_id, requested_by=caller.subject, **more)
    version = await factory.vms.command(vm_id, made)
    return await _after(factory, caller, vm_id, version, state)


async def _after(factory: Factory, caller: Caller, vm_id: str, version: int, before: VmState | None) -> VmView:
    """Answer with the machine once the command shows, or as it was if that takes longer."""
    state = before
    with suppress(Fault):  # the command was taken; that it cannot be seen now does not change that
        await factory.reads.wait_for(caller.org_id, "vms", vm_id, version, VISIBLE_SECONDS)
        state = await vm_state(factory, caller.org_id, vm_id) or before
    if state is None:
        return accepted(vm_id)
    if state.version >= version:
        return vm_view(state, now=factory.now())
    view = vm_view(state, now=factory.now(), visible=False)
    return view.model_copy(update={"next": f"The command was accepted. {FOLLOW}"})
