"""What a machine is after its events, folded in order. Folding never fails."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from domain.artifacts import Verification
from domain.errors import Problem
from domain.model import Value
from domain.vm import events as e
from domain.vm.orders import OrderKind
from domain.vm.spec import PortForward, VmSpec

VmStatus = Literal["pending", "starting", "running", "stopping", "stopped", "deleting", "deleted", "failed", "lost"]
OrderStatus = Literal["waiting", "running", "done", "failed"]

RESTING: frozenset[VmStatus] = frozenset({"running", "stopped", "deleted", "failed", "lost"})
"""Statuses that last until something is asked or happens."""
_UNDER_WAY: dict[OrderKind, VmStatus] = {"start": "starting", "stop": "stopping", "restart": "stopping"}
_ENDED_ORDERS_KEPT = 10


class OrderState(Value):
    """A command as last seen; `problems` say why one failed."""

    command_id: str
    command: OrderKind
    requested_by: str
    accepted_at: datetime
    status: OrderStatus
    problems: tuple[Problem, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it is still to be done."""
        return self.status in {"waiting", "running"}


class SnapshotState(Value):
    """A snapshot. `memory` says that it goes on running where it was taken; `bytes` on the host's disk."""

    snapshot_id: str
    name: str
    taken_at: datetime
    memory: bool
    bytes: int


class VmState(Value):
    """One machine. `version` is the number of its events.

    `ready` says that the guest answers; `settled` is the last status that was no transition; `orders` are
    the open commands and the ten that ended last. `reason` says why it is stopped or lost, `problems` why it
    failed or does not answer.
    """

    vm_id: str
    org_id: str
    version: int
    status: VmStatus
    settled: VmStatus
    requested_by: str
    requested_at: datetime
    updated_at: datetime
    plan: str
    spec: VmSpec
    input_digest: str
    verification: Verification
    owner: str | None = None
    expires_at: datetime | None = None
    warned: bool = False
    waiting: str | None = None
    host: str | None = None
    queue: str | None = None
    relay: str | None = None
    token: int = 0
    created: bool = False
    accelerator: Literal["kvm", "tcg"] | None = None
    disk_bytes: int | None = None
    boot: int = 0
    started_at: datetime | None = None
    start_seconds: float | None = None
    ready: bool = False
    ready_seconds: float | None = None
    via: Literal["agent", "ssh"] | None = None
    addresses: tuple[str, ...] = ()
    forwards: tuple[PortForward, ...] = ()
    snapshots: tuple[SnapshotState, ...] = ()
    orders: tuple[OrderState, ...] = ()
    reason: str | None = None
    problems: tuple[Problem, ...] = ()
    note: str | None = None

    @property
    def open_orders(self) -> tuple[OrderState, ...]:
        """The commands that are still to be done, oldest first."""
        return tuple(order for order in self.orders if order.open)

    def order(self, command_id: str | None) -> OrderState | None:
        """Find a command that is open or ended not long ago."""
        return next((order for order in self.orders if order.command_id == command_id), None)

    def snapshot(self, snapshot_id: str | None) -> SnapshotState | None:
        """Find a snapshot."""
        return next((snapshot for snapshot in self.snapshots if snapshot.snapshot_id == snapshot_id), None)


def evolve(state: VmState | None, event: e.VmEvent) -> VmState:
    """Return the state after `event`. A fact that does not fit leaves the state as it is, but counted.

    Raises:
        ValueError: the stream does not begin with `vm.requested.v1`.

    """
    if isinstance(event, e.VmRequested):
        return _requested(event, 1 if state is None else state.version + 1)
    if state is None:
        raise ValueError(f"{event.NAME} before vm.requested.v1 in {event.vm_id}")
    state = state.model_copy(update={"version": state.version + 1, "updated_at": event.at})
    fold_one = _FOLDS.get(type(event))
    if fold_one is not None:
        state = fold_one(state, event)
    command_id = getattr(event, "command_id", None)
    if command_id is not None and not isinstance(event, e.VmCommandAccepted | e.VmCommandStarted):
        failed = isinstance(event, e.VmFailed)
        state = _ended(state, command_id, event.problems if isinstance(event, e.VmFailed) else (), failed=failed)
    return state


def fold(history: tuple[e.VmEvent, ...]) -> VmState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: VmState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _requested(event: e.VmRequested, version: int) -> VmState:
    ttl = event.spec.ttl
    return VmState(
        vm_id=event.vm_id,
        org_id=event.org_id,
        version=version,
        status="pending",
        settled="pending",
        requested_by=event.requested_by,
        requested_at=event.at,
        updated_at=event.at,
        plan=event.plan,
        spec=event.spec,
        input_digest=event.input_digest,
        verification=event.verification,
        owner=event.owner,
        expires_at=None if ttl is None else event.at + timedelta(seconds=ttl),
    )


def _with(state: VmState, **update: object) -> VmState:
    return state.model_copy(update=update)


def _settle(state: VmState, status: VmStatus, **update: object) -> VmState:
    return _with(state, status=status, settled=status, **update)


_OFF: dict[str, object] = {"ready": False, "addresses": (), "forwards": (), "via": None, "started_at": None}


def _waiting(state: VmState, event: e.VmWaiting) -> VmState:
    return _with(state, waiting=event.reason)


def _placed(state: VmState, event: e.VmPlaced) -> VmState:
    status = "starting" if state.status == "pending" else state.status
    return _with(
        state, status=status, host=event.host, queue=event.queue, token=event.token, relay=event.relay, waiting=None
    )


def _created(state: VmState, event: e.VmCreated) -> VmState:
    return _with(state, created=True, accelerator=event.accelerator, disk_bytes=event.disk_bytes)


def _started(state: VmState, event: e.VmStarted) -> VmState:
    return _settle(
        state,
        "running",
        token=max(state.token, event.token),
        boot=event.boot,
        started_at=event.at,
        start_seconds=event.seconds,
        forwards=event.forwards,
        ready=False,
        ready_seconds=None,
        addresses=(),
        reason=None,
        problems=(),
    )


def _ready(state: VmState, event: e.VmReady) -> VmState:
    return _with(state, ready=True, via=event.via, ready_seconds=event.seconds, addresses=event.addresses, problems=())


def _not_ready(state: VmState, event: e.VmNotReady) -> VmState:
    return _with(state, ready=False, problems=event.problems)


def _accepted(state: VmState, event: e.VmCommandAccepted) -> VmState:
    order = OrderState(
        command_id=event.command_id,
        command=event.command,
        requested_by=event.requested_by,
        accepted_at=event.at,
        status="waiting",
    )
    return _with(state, orders=_kept((*state.orders, order)))


def _begun(state: VmState, event: e.VmCommandStarted) -> VmState:
    order = state.order(event.command_id)
    if order is None:
        return state
    status = _UNDER_WAY.get(order.command, state.status)
    return _with(_change(state, event.command_id, status="running"), status=status)


def _command_ended(state: VmState, event: e.VmCommandEnded) -> VmState:
    state = _ended(state, event.command_id, event.problems, failed=bool(event.problems))
    return _with(state, status=state.settled) if state.status in {"starting", "stopping"} else state


def _ended(state: VmState, command_id: str, problems: tuple[Problem, ...], *, failed: bool) -> VmState:
    order = state.order(command_id)
    if order is None or not order.open:
        return state
    state = _change(state, command_id, status="failed" if failed else "done", problems=problems)
    return _with(state, orders=_kept(state.orders))


def _change(state: VmState, command_id: str, **update: object) -> VmState:
    orders = tuple(o.model_copy(update=update) if o.command_id == command_id else o for o in state.orders)
    return _with(state, orders=orders)


def _kept(orders: tuple[OrderState, ...]) -> tuple[OrderState, ...]:
    ended = [order for order in orders if not order.open][:-_ENDED_ORDERS_KEPT]
    return tuple(order for order in orders if order not in ended)


def _stopped(state: VmState, event: e.VmStopped) -> VmState:
    problems = ()
    if event.how == "panicked":
        problems = (Problem(code="vm.panicked", message=event.reason or "the guest's kernel panicked"),)
    return _settle(state, "stopped", reason=event.reason, problems=problems, **_OFF)


def _snapshot(state: VmState, event: e.VmSnapshotTaken) -> VmState:
    taken = SnapshotState(
        snapshot_id=event.snapshot_id, name=event.name, taken_at=event.at, memory=event.memory, bytes=event.bytes
    )
    others = tuple(s for s in state.snapshots if s.snapshot_id != event.snapshot_id)
    return _with(state, snapshots=(*others, taken))


def _restored(state: VmState, event: e.VmSnapshotRestored) -> VmState:
    if event.running:
        forwards = state.forwards if event.forwards is None else event.forwards
        return _settle(state, "running", ready=False, reason=None, problems=(), started_at=event.at, forwards=forwards)
    return _settle(state, "stopped", reason="restored from a snapshot without memory", problems=(), **_OFF)


def _dropped(state: VmState, event: e.VmSnapshotDropped) -> VmState:
    return _with(state, snapshots=tuple(s for s in state.snapshots if s.snapshot_id != event.snapshot_id))


def _extended(state: VmState, event: e.VmExtended) -> VmState:
    return _with(state, expires_at=event.expires_at, warned=False)


def _expiring(state: VmState, _: e.VmExpiring) -> VmState:
    return _with(state, warned=True)


def _forwarded(state: VmState, event: e.VmForwardOpened) -> VmState:
    others = tuple(f for f in state.forwards if f.guest_port != event.forward.guest_port)
    return _with(state, forwards=(*others, event.forward))


def _failed(state: VmState, event: e.VmFailed) -> VmState:
    held: dict[str, object] = {} if event.kept else {"host": None, "queue": None, "relay": None, "created": False}
    return _settle(state, "failed", problems=event.problems, reason=None, waiting=None, **{**_OFF, **held})


def _lost(state: VmState, event: e.VmLost) -> VmState:
    orders = tuple(o.model_copy(update={"status": "failed"}) if o.status == "running" else o for o in state.orders)
    return _settle(_with(state, orders=orders), "lost", reason=event.reason, problems=(), **_OFF)


def _deleting(state: VmState, _: e.VmDeleting) -> VmState:
    return _with(state, status="deleting", ready=False)


def _deleted(state: VmState, event: e.VmDeleted) -> VmState:
    orders = tuple(
        o.model_copy(update={"status": "done" if o.command == "delete" else "failed"}) if o.open else o
        for o in state.orders
    )
    gone: dict[str, object] = {"created": False, "snapshots": (), "orders": orders, "note": event.note}
    return _settle(state, "deleted", **{**_OFF, **gone})


_FOLDS: dict[type[e.VmEvent], Callable[[VmState, Any], VmState]] = {
    e.VmWaiting: _waiting,
    e.VmPlaced: _placed,
    e.VmCreated: _created,
    e.VmStarted: _started,
    e.VmReady: _ready,
    e.VmNotReady: _not_ready,
    e.VmCommandAccepted: _accepted,
    e.VmCommandStarted: _begun,
    e.VmCommandEnded: _command_ended,
    e.VmStopped: _stopped,
    e.VmSnapshotTaken: _snapshot,
    e.VmSnapshotRestored: _restored,
    e.VmSnapshotDropped: _dropped,
    e.VmExtended: _extended,
    e.VmExpiring: _expiring,
    e.VmForwardOpened: _forwarded,
    e.VmFailed: _failed,
    e.VmLost: _lost,
    e.VmDeleting: _deleting,
    e.VmDeleted: _deleted,
}
