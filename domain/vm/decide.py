"""What a command makes happen, given what already happened.

Orders may be refused for the state in which the machine is. Facts are never refused: one that the log holds
already, one of an earlier lease or start, and one that comes after the end decide nothing. That is what lets a
repeated activity, a repeated signal and a workflow that was reset adopt what an earlier run did.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.errors import Verdict
from domain.model import Value
from domain.vm import commands as c
from domain.vm import events as e
from domain.vm.orders import OrderKind
from domain.vm.state import VmState, VmStatus

_NOTHING: tuple[e.VmEvent, ...] = ()
_NEEDS: dict[OrderKind, frozenset[VmStatus]] = {
    "restart": frozenset({"starting", "running", "stopping", "stopped"}),
    "snapshot": frozenset({"starting", "running", "stopping", "stopped"}),
    "restore": frozenset({"starting", "running", "stopping", "stopped"}),
    "drop_snapshot": frozenset({"starting", "running", "stopping", "stopped"}),
    "open_forward": frozenset({"running"}),
    "run_command": frozenset({"running"}),
    "screenshot": frozenset({"running"}),
}
"""The statuses in which an order makes sense; the others make sense as long as the machine is there."""
_NO_FACTS = frozenset({"kind", "most_snapshots"})
"""What only decides a command, and is not told by its event."""


def decide(state: VmState | None, command: c.VmCommand, *, now: datetime) -> tuple[e.VmEvent, ...]:
    """Return the events that `command` adds to a machine; none if they are there already.

    `now` is the time in UTC as the workflow sees it.

    Raises:
        Verdict: `vm.not_found`, `vm.deleted`, `request_key.reused`, `vm.wrong_state`, `snapshot.not_found`,
            `snapshot.quota`.

    """
    if isinstance(command, c.RequestVm):
        return _request(state, command, now)
    if state is None:
        raise Verdict.because("vm.not_found", "there is no such machine", next="list_vms")
    if isinstance(command, c.AcceptOrder):
        return _accept(state, command, now)
    return _fact(state, command, now)


def refuse_order(
    state: VmState, order: OrderKind, snapshot_id: str | None = None, most_snapshots: int | None = None
) -> None:
    """Refuse an order that the machine cannot obey in its state, or one snapshot more than it may have.

    Raises:
        Verdict: `vm.deleted`, `vm.wrong_state`, `snapshot.not_found`, `snapshot.quota`.

    """
    if state.status in {"deleting", "deleted"}:
        raise _gone(state)
    fitting = _NEEDS.get(order)
    if fitting is not None and state.status not in fitting:
        raise Verdict.because(
            "vm.wrong_state",
            f"The machine is {state.status}; {order} needs one that is {' or '.join(sorted(fitting))}.",
            value=state.status,
            next="Call get_vm to see its state, and start_vm if it should run.",
        )
    if order == "snapshot" and most_snapshots is not None:
        _refuse_one_too_many(state, most_snapshots)
    if order in {"restore", "drop_snapshot"} and state.snapshot(snapshot_id) is None and not _to_be_taken(state):
        raise Verdict.because(
            "snapshot.not_found",
            "The machine has no such snapshot.",
            path="snapshot_id",
            value=snapshot_id,
            suggestions=tuple(s.snapshot_id for s in state.snapshots[-5:]),
            next="Call list_snapshots.",
        )


def _refuse_one_too_many(state: VmState, most: int) -> None:
    held = len(state.snapshots) + sum(order.command == "snapshot" for order in state.open_orders)
    if held >= most:
        raise Verdict.because(
            "snapshot.quota",
            f"The plan {state.plan} allows {most} snapshots of a machine, and there are {held}, taken or asked for.",
            path="snapshots",
            next="Remove one that is no longer needed with delete_snapshot (list_snapshots shows them).",
        )


def _to_be_taken(state: VmState) -> bool:
    """A snapshot that is still being taken may be the one that is meant; its turn will tell."""
    return any(order.command == "snapshot" for order in state.open_orders)


def _request(state: VmState | None, command: c.RequestVm, now: datetime) -> tuple[e.VmEvent, ...]:
    request = command.request
    if state is None:
        return (
            e.VmRequested(
                vm_id=request.vm_id,
                org_id=request.org_id,
                at=now,
                requested_by=request.requested_by,
                plan=request.plan,
                spec=request.spec,
                input_digest=request.input_digest,
                verification=request.verification,
                owner=request.owner,
            ),
        )
    if state.org_id != request.org_id or state.input_digest != request.input_digest:
        message = "this machine's id belongs to another request"
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")
    if state.status == "deleted":
        raise _gone(state)
    return _NOTHING


def _accept(state: VmState, command: c.AcceptOrder, now: datetime) -> tuple[e.VmEvent, ...]:
    if state.order(command.command_id) is not None:
        return _NOTHING
    if state.status == "deleting" and command.command == "delete":
        return _NOTHING
    refuse_order(state, command.command, command.snapshot_id, command.most_snapshots)
    return (_event(e.VmCommandAccepted, state, command, now),)


def _fact(state: VmState, command: Any, now: datetime) -> tuple[e.VmEvent, ...]:  # noqa: ANN401 - any fact of the union
    event, held = _FACTS[type(command)]
    ended = state.status == "deleted"
    late = state.status == "deleting" and event not in {e.VmDeleted, e.VmCommandEnded}
    if ended or late:
        return _NOTHING
    if not held(state, command):
        return (_event(event, state, command, now),)
    order = state.order(getattr(command, "command_id", None))
    if order is not None and order.open and event not in {e.VmCommandStarted, e.VmCommandEnded}:
        # The fact is there, but the command that wanted it is not done yet.
        return (e.VmCommandEnded(vm_id=state.vm_id, org_id=state.org_id, at=now, command_id=order.command_id),)
    return _NOTHING


def _event(event: type[e.VmEvent], state: VmState, command: Value, now: datetime) -> e.VmEvent:
    """Make the event that has the command's own fields."""
    facts: dict[str, Any] = {
        name: getattr(command, name) for name in type(command).model_fields if name not in _NO_FACTS
    }
    return event(vm_id=state.vm_id, org_id=state.org_id, at=now, **facts)


def _gone(state: VmState) -> Verdict:
    return Verdict.because(
        "vm.deleted", f"The machine is {state.status}.", value=state.vm_id, next="Call create_vm for a new one."
    )


def _other_start(state: VmState, command: c.RecordReady | c.RecordNotReady | c.RecordStopped) -> bool:
    return (state.token, state.boot) != (command.token, command.boot)


def _has_waited(state: VmState, command: c.RecordWaiting) -> bool:
    return state.waiting == command.reason


def _is_placed(state: VmState, command: c.RecordPlaced) -> bool:
    return state.token >= command.token


def _is_created(state: VmState, command: c.RecordCreated) -> bool:
    facts = (command.accelerator, command.disk_bytes)
    return state.token != command.token or (state.created and (state.accelerator, state.disk_bytes) == facts)


def _is_started(state: VmState, command: c.RecordStarted) -> bool:
    same = state.status == "running" and state.boot == command.boot
    return state.token > command.token or (state.token == command.token and same)


def _is_ready(state: VmState, command: c.RecordReady) -> bool:
    return state.ready or state.settled != "running" or _other_start(state, command)


def _is_not_ready(state: VmState, command: c.RecordNotReady) -> bool:
    told = not state.ready and state.problems == command.problems
    return told or state.settled != "running" or _other_start(state, command)


def _is_stopped(state: VmState, command: c.RecordStopped) -> bool:
    return state.settled in {"stopped", "lost", "failed"} or _other_start(state, command)


def _is_over(state: VmState, command: c.EndOrder | c.RecordRestored) -> bool:
    order = state.order(command.command_id)
    return order is None or not order.open


def _has_begun(state: VmState, command: c.BeginOrder) -> bool:
    order = state.order(command.command_id)
    return order is None or order.status != "waiting"


def _is_extended(state: VmState, command: c.RecordExtended) -> bool:
    return state.expires_at == command.expires_at


def _is_expiring(state: VmState, command: c.RecordExpiring) -> bool:
    return state.warned or state.expires_at != command.expires_at


def _is_failed(state: VmState, command: c.RecordFailed) -> bool:
    return state.status == "failed" and state.problems == command.problems


def _is_lost(state: VmState, command: c.RecordLost) -> bool:
    return state.status == "lost" or state.token != command.token


_FACTS: dict[type[Any], tuple[type[e.VmEvent], Callable[[VmState, Any], bool]]] = {
    c.BeginOrder: (e.VmCommandStarted, _has_begun),
    c.EndOrder: (e.VmCommandEnded, _is_over),
    c.RecordWaiting: (e.VmWaiting, _has_waited),
    c.RecordPlaced: (e.VmPlaced, _is_placed),
    c.RecordCreated: (e.VmCreated, _is_created),
    c.RecordStarted: (e.VmStarted, _is_started),
    c.RecordReady: (e.VmReady, _is_ready),
    c.RecordNotReady: (e.VmNotReady, _is_not_ready),
    c.RecordStopped: (e.VmStopped, _is_stopped),
    c.RecordSnapshot: (e.VmSnapshotTaken, lambda s, x: s.snapshot(x.snapshot_id) is not None),
    c.RecordRestored: (e.VmSnapshotRestored, _is_over),
    c.RecordDropped: (e.VmSnapshotDropped, lambda s, x: s.snapshot(x.snapshot_id) is None),
    c.RecordExtended: (e.VmExtended, _is_extended),
    c.RecordExpiring: (e.VmExpiring, _is_expiring),
    c.RecordForward: (e.VmForwardOpened, lambda s, x: x.forward in s.forwards),
    c.RecordFailed: (e.VmFailed, _is_failed),
    c.RecordLost: (e.VmLost, _is_lost),
    c.RecordDeleting: (e.VmDeleting, lambda s, _: s.status == "deleting"),
    c.RecordDeleted: (e.VmDeleted, lambda s, _: s.status == "deleted"),
}
"""What each fact becomes, and how the log shows that it is there already."""
