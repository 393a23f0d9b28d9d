"""What a machine's workflow may tell the log. Each command is decided against what the log holds."""

from datetime import datetime
from typing import Literal

from domain.errors import Problem
from domain.model import Value
from domain.vm.events import Cause, StopKind
from domain.vm.inputs import VmRequest
from domain.vm.orders import OrderKind
from domain.vm.spec import PortForward


class RequestVm(Value):
    """The first fact of a machine; the organization's quota is reserved with it."""

    kind: Literal["request"] = "request"
    request: VmRequest


class AcceptOrder(Value):
    """Take a command, or refuse it for the state in which the machine is.

    `most_snapshots` is what the organization's plan allows the machine.
    """

    kind: Literal["accept"] = "accept"
    command_id: str
    command: OrderKind
    requested_by: str
    snapshot_id: str | None = None
    most_snapshots: int | None = None


class BeginOrder(Value):
    """A command's turn has come."""

    kind: Literal["begin"] = "begin"
    command_id: str


class EndOrder(Value):
    """A command is over without a fact of its own; with problems, it could not be done."""

    kind: Literal["end"] = "end"
    command_id: str
    cause: Cause | None = None
    problems: tuple[Problem, ...] = ()


class RecordWaiting(Value):
    """No host has room."""

    kind: Literal["waiting"] = "waiting"
    position: int
    reason: str


class RecordPlaced(Value):
    """A host has room."""

    kind: Literal["placed"] = "placed"
    host: str
    queue: str
    token: int
    relay: str | None = None


class RecordCreated(Value):
    """Disk and definition are there."""

    kind: Literal["created"] = "created"
    token: int
    accelerator: Literal["kvm", "tcg"]
    fetched: bool
    disk_bytes: int


class RecordStarted(Value):
    """QEMU runs."""

    kind: Literal["started"] = "started"
    token: int
    boot: int
    seconds: float
    forwards: tuple[PortForward, ...] = ()
    command_id: str | None = None


class RecordReady(Value):
    """The guest answers."""

    kind: Literal["ready"] = "ready"
    token: int
    boot: int
    via: Literal["agent", "ssh"]
    seconds: float
    addresses: tuple[str, ...] = ()


class RecordNotReady(Value):
    """The guest does not answer."""

    kind: Literal["not_ready"] = "not_ready"
    token: int
    boot: int
    cause: Cause
    problems: tuple[Problem, ...]


class RecordStopped(Value):
    """QEMU no longer runs, and that is in order."""

    kind: Literal["stopped"] = "stopped"
    token: int
    boot: int
    how: StopKind
    reason: str | None = None
    command_id: str | None = None


class RecordSnapshot(Value):
    """A snapshot was taken."""

    kind: Literal["snapshot_taken"] = "snapshot_taken"
    snapshot_id: str
    name: str
    memory: bool
    bytes: int
    seconds: float
    command_id: str | None = None


class RecordRestored(Value):
    """A snapshot was restored."""

    kind: Literal["snapshot_restored"] = "snapshot_restored"
    snapshot_id: str
    running: bool
    seconds: float
    forwards: tuple[PortForward, ...] | None = None
    command_id: str | None = None


class RecordDropped(Value):
    """A snapshot was removed."""

    kind: Literal["snapshot_dropped"] = "snapshot_dropped"
    snapshot_id: str
    command_id: str | None = None


class RecordExtended(Value):
    """The machine lives until then."""

    kind: Literal["extended"] = "extended"
    expires_at: datetime | None
    requested_by: str
    command_id: str | None = None


class RecordExpiring(Value):
    """The end is near."""

    kind: Literal["expiring"] = "expiring"
    expires_at: datetime


class RecordForward(Value):
    """A port is forwarded."""

    kind: Literal["forward_opened"] = "forward_opened"
    forward: PortForward
    command_id: str | None = None


class RecordFailed(Value):
    """The machine could not be placed, created or started."""

    kind: Literal["failed"] = "failed"
    step: Literal["place", "create", "start"]
    cause: Cause
    problems: tuple[Problem, ...]
    kept: bool
    command_id: str | None = None


class RecordLost(Value):
    """Host or QEMU vanished."""

    kind: Literal["lost"] = "lost"
    token: int
    what: Literal["host", "machine"]
    reason: str


class RecordDeleting(Value):
    """The machine is being removed."""

    kind: Literal["deleting"] = "deleting"
    requested_by: str
    reason: str


class RecordDeleted(Value):
    """Nothing is left."""

    kind: Literal["deleted"] = "deleted"
    removed: int
    note: str | None = None


VmCommand = (
    RequestVm
    | AcceptOrder
    | BeginOrder
    | EndOrder
    | RecordWaiting
    | RecordPlaced
    | RecordCreated
    | RecordStarted
    | RecordReady
    | RecordNotReady
    | RecordStopped
    | RecordSnapshot
    | RecordRestored
    | RecordDropped
    | RecordExtended
    | RecordExpiring
    | RecordForward
    | RecordFailed
    | RecordLost
    | RecordDeleting
    | RecordDeleted
)
