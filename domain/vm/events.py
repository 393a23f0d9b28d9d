"""The facts of a virtual machine. Names are versioned and never depend on a class path.

`command_id` in a fact says which command brought it about; that command is done then.
"""

from datetime import datetime
from typing import Literal

from domain.artifacts import Verification
from domain.errors import Problem
from domain.event import Event
from domain.vm.orders import OrderKind
from domain.vm.spec import PortForward, VmSpec

Cause = Literal["verdict", "fault"]
StopKind = Literal["graceful", "forced", "already", "by_itself", "panicked"]


class VmEvent(Event):
    """A fact about one machine."""

    vm_id: str


class VmRequested(VmEvent):
    """Someone asked for a machine, and the organization's quota has room for it."""

    NAME = "vm.requested.v1"
    requested_by: str
    plan: str
    spec: VmSpec
    input_digest: str
    verification: Verification
    owner: str | None = None


class VmWaiting(VmEvent):
    """No host has room now; the machine waits its turn. `position` counts from 1, as it was then."""

    NAME = "vm.waiting.v1"
    position: int
    reason: str


class VmPlaced(VmEvent):
    """A host has room. `token` fences everything that is done there; `relay` is its consoles' address."""

    NAME = "vm.placed.v1"
    host: str
    queue: str
    token: int
    relay: str | None = None


class VmCreated(VmEvent):
    """Disk and definition are on the host. `fetched` says that the image had to be copied there first."""

    NAME = "vm.created.v1"
    token: int
    accelerator: Literal["kvm", "tcg"]
    fetched: bool
    disk_bytes: int


class VmStarted(VmEvent):
    """QEMU runs. `boot` counts the starts on this host; `seconds` from the order to that."""

    NAME = "vm.started.v1"
    token: int
    boot: int
    seconds: float
    forwards: tuple[PortForward, ...] = ()
    command_id: str | None = None


class VmReady(VmEvent):
    """The guest answers. `seconds` since power-on; `addresses` are its own words (untrusted)."""

    NAME = "vm.ready.v1"
    token: int
    boot: int
    via: Literal["agent", "ssh"]
    seconds: float
    addresses: tuple[str, ...] = ()


class VmNotReady(VmEvent):
    """QEMU runs but the guest does not answer, or no longer; why is in `problems`."""

    NAME = "vm.not_ready.v1"
    token: int
    boot: int
    cause: Cause
    problems: tuple[Problem, ...]


class VmCommandAccepted(VmEvent):
    """The machine's workflow took a command; it is executed when those before it are done."""

    NAME = "vm.command_accepted.v1"
    command_id: str
    command: OrderKind
    requested_by: str
    snapshot_id: str | None = None


class VmCommandStarted(VmEvent):
    """The command is being executed."""

    NAME = "vm.command_started.v1"
    command_id: str


class VmCommandEnded(VmEvent):
    """The command is over without a fact of its own; with problems, it could not be done."""

    NAME = "vm.command_ended.v1"
    command_id: str
    cause: Cause | None = None
    problems: tuple[Problem, ...] = ()


class VmStopped(VmEvent):
    """QEMU no longer runs, and that is in order: asked for, or the guest powered off. `reason` in words."""

    NAME = "vm.stopped.v1"
    token: int
    boot: int
    how: StopKind
    reason: str | None = None
    command_id: str | None = None


class VmSnapshotTaken(VmEvent):
    """Disk and, with `memory`, the running state are kept. `bytes` on the host's disk."""

    NAME = "vm.snapshot_taken.v1"
    snapshot_id: str
    name: str
    memory: bool
    bytes: int
    seconds: float
    command_id: str | None = None


class VmSnapshotRestored(VmEvent):
    """The machine is as it was when the snapshot was taken; `running` as QEMU is now.

    Without `forwards`, as old events are, those that were open are so still.
    """

    NAME = "vm.snapshot_restored.v1"
    snapshot_id: str
    running: bool
    seconds: float
    forwards: tuple[PortForward, ...] | None = None
    command_id: str | None = None


class VmSnapshotDropped(VmEvent):
    """A snapshot is gone."""

    NAME = "vm.snapshot_dropped.v1"
    snapshot_id: str
    command_id: str | None = None


class VmExtended(VmEvent):
    """The machine lives until then; None: until it is deleted."""

    NAME = "vm.extended.v1"
    expires_at: datetime | None
    requested_by: str
    command_id: str | None = None


class VmExpiring(VmEvent):
    """The warning: the machine will be deleted soon."""

    NAME = "vm.expiring.v1"
    expires_at: datetime


class VmForwardOpened(VmEvent):
    """A port of the guest is reachable on its host's loopback until the machine is off."""

    NAME = "vm.forward_opened.v1"
    forward: PortForward
    command_id: str | None = None


class VmFailed(VmEvent):
    """The machine could not be placed, created or started; what was made of it is in `kept`."""

    NAME = "vm.failed.v1"
    step: Literal["place", "create", "start"]
    cause: Cause
    problems: tuple[Problem, ...]
    kept: bool
    command_id: str | None = None


class VmLost(VmEvent):
    """Its host or its QEMU vanished."""

    NAME = "vm.lost.v1"
    token: int
    what: Literal["host", "machine"]
    reason: str


class VmDeleting(VmEvent):
    """Everything that belongs to the machine is being removed."""

    NAME = "vm.deleting.v1"
    requested_by: str
    reason: str


class VmDeleted(VmEvent):
    """Nothing of the machine is left. `note` says so if its host was gone and cleans up by itself."""

    NAME = "vm.deleted.v1"
    removed: int
    note: str | None = None


VM_EVENTS: dict[str, type[VmEvent]] = {
    cls.NAME: cls
    for cls in (
        VmRequested,
        VmWaiting,
        VmPlaced,
        VmCreated,
        VmStarted,
        VmReady,
        VmNotReady,
        VmCommandAccepted,
        VmCommandStarted,
        VmCommandEnded,
        VmStopped,
        VmSnapshotTaken,
        VmSnapshotRestored,
        VmSnapshotDropped,
        VmExtended,
        VmExpiring,
        VmForwardOpened,
        VmFailed,
        VmLost,
        VmDeleting,
        VmDeleted,
    )
}
