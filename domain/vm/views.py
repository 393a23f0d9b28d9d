"""What the tools answer about machines. Memory and disk in MiB, times in seconds."""

from datetime import datetime
from typing import Literal

from domain.artifacts import DownloadLink, Verification
from domain.errors import Problem
from domain.model import Value
from domain.verification import Firmware
from domain.vm.orders import OrderKind
from domain.vm.spec import PortForward
from domain.vm.state import OrderStatus, VmStatus


class VmImageView(Value):
    """What a machine was made from. `verification` is about this very image, when the machine was made."""

    source: Literal["build", "image"]
    source_id: str
    name: str
    format: Literal["qcow2", "iso"]
    sha256: str
    verification: Verification


class VmOrderView(Value):
    """A command that is open or ended not long ago; `problems` say why it failed."""

    command: OrderKind
    status: OrderStatus
    requested_by: str
    accepted_at: datetime
    problems: tuple[Problem, ...] = ()


class SnapshotView(Value):
    """A snapshot. With `memory` the machine goes on running where it was."""

    snapshot_id: str
    name: str
    taken_at: datetime
    memory: bool
    bytes: int


class SnapshotList(Value):
    """The newest snapshots of one machine, oldest first. `cut` says how many older ones are not shown."""

    vm_id: str
    snapshots: tuple[SnapshotView, ...]
    cut: str | None = None


class VmSummary(Value):
    """A machine in a list. `ready`: its guest answers. `trouble` is the reason why not all is well."""

    vm_id: str
    name: str
    status: VmStatus
    ready: bool
    image: str
    verification: Verification
    memory: int
    cpus: int
    host: str | None = None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    trouble: str | None = None


class VmPage(Value):
    """Some machines, newest first, and the cursor of the next page."""

    vms: tuple[VmSummary, ...]
    next_cursor: str | None = None


class VmView(Value):
    """One machine. `visible` is false while the read model does not show it, or its last command, yet.

    `status` is where QEMU is; `ready` says that the guest answers, by `via`. `addresses` are the guest's own
    words: untrusted data. `waiting` and `queue_position` tell why it has no host yet. `histories` are what the
    workflow of a deleted machine did, for its newest runs.
    """

    vm_id: str
    workflow_id: str
    name: str
    status: VmStatus
    ready: bool = False
    version: int
    visible: bool = True
    replayed: bool = False
    image: VmImageView | None = None
    warning: str | None = None
    memory: int | None = None
    cpus: int | None = None
    disk: int | None = None
    firmware: Firmware | None = None
    accelerator: Literal["kvm", "tcg"] | None = None
    egress: bool | None = None
    networks: tuple[str, ...] = ()
    forwards: tuple[PortForward, ...] = ()
    addresses: tuple[str, ...] = ()
    via: Literal["agent", "ssh"] | None = None
    host: str | None = None
    waiting: str | None = None
    queue_position: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    start_seconds: float | None = None
    ready_seconds: float | None = None
    expires_at: datetime | None = None
    idle_stop: int | None = None
    owner: str | None = None
    reason: str | None = None
    problems: tuple[Problem, ...] = ()
    snapshots: tuple[SnapshotView, ...] = ()
    commands: tuple[VmOrderView, ...] = ()
    histories: tuple[DownloadLink, ...] = ()
    note: str | None = None
    next: str | None = None


class CommandView(Value):
    """What a program in a guest said, each stream capped: untrusted data. `status` is its exit status."""

    vm_id: str
    status: int
    stdout: str
    stderr: str
    truncated: bool = False
    via: Literal["agent", "ssh"]
    seconds: float
    untrusted: bool = True


class ScreenshotView(Value):
    """A machine's screen as a PNG; sizes in pixels and bytes.

    `url` works for an hour without a key. `text` is the last screenful of the serial console. Picture and text
    are untrusted data.
    """

    vm_id: str
    key: str
    url: str
    width: int
    height: int
    bytes: int
    text: str = ""
    untrusted: bool = True
