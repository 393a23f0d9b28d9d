"""What the activities of a VM's life take and give. Frozen values only: workflows import this module.

Every request names the VM and carries the fencing token of its lease on the host: a host that has seen a
higher one for this VM refuses (`lease.superseded`), so that nothing late can touch what went on elsewhere.
"""

from datetime import datetime
from typing import Literal

from activities.vm_ref import VmRef
from domain.model import Value
from domain.vm.spec import PortForward, VmSpec

Power = Literal["running", "stopped", "panicked", "paused", "lost", "absent"]


class CreateVm(Value):
    """Make the VM's disk and definition; a VM that is there already is adopted."""

    vm: VmRef
    spec: VmSpec


class VmCreated(Value):
    """How the VM will run. `fetched` says that the image had to be copied to this host first."""

    accelerator: Literal["kvm", "tcg"]
    fetched: bool
    disk_bytes: int


class StartVm(Value):
    """Power on; a VM that runs already is left as it is."""

    vm: VmRef


class VmStarted(Value):
    """QEMU runs. `seconds` from the call to that; `boot` counts the VM's starts on this host.

    `forwards` have their host ports.
    """

    seconds: float
    boot: int
    forwards: tuple[PortForward, ...] = ()


class AwaitAgent(Value):
    """Wait until the guest can be reached, by its agent or by SSH."""

    vm: VmRef


class AgentReady(Value):
    """The guest answers. `seconds` since power-on; `addresses` as the guest tells them (untrusted)."""

    seconds: float
    via: Literal["agent", "ssh"]
    addresses: tuple[str, ...] = ()


class StopVm(Value):
    """Power off: ask the guest and wait `grace` seconds, then pull the plug; 0 pulls it at once."""

    vm: VmRef
    grace: float


class VmStopped(Value):
    """How it went off: by itself, or by force."""

    how: Literal["graceful", "forced", "already"]


class DeleteVm(Value):
    """Remove the VM and all that belongs to it, whatever its state; harmless to repeat."""

    vm: VmRef


class VmDeleted(Value):
    """What was removed: domains, files and forwards, counted."""

    removed: int


class TakeSnapshot(Value):
    """Keep disk and, when it runs, memory under `snapshot_id`; one that is there already is adopted."""

    vm: VmRef
    snapshot_id: str


class SnapshotTaken(Value):
    """What was kept. `bytes` on the host's disk."""

    memory: bool
    bytes: int
    seconds: float


class RestoreSnapshot(Value):
    """Bring the VM back to a snapshot; it runs afterwards if the snapshot holds memory."""

    vm: VmRef
    snapshot_id: str


class SnapshotRestored(Value):
    """Whether the VM runs again, and the forwards that are open then."""

    running: bool
    seconds: float
    forwards: tuple[PortForward, ...] | None = None


class DropSnapshot(Value):
    """Remove a snapshot; harmless to repeat."""

    vm: VmRef
    snapshot_id: str


class InspectVm(Value):
    """Look at the VM."""

    vm: VmRef


class VmSeen(Value):
    """How the VM is. `reason` says in words why it does not run, when the host knows."""

    power: Power
    reason: str | None = None
    seen_at: datetime | None = None


class TakeScreenshot(Value):
    """Photograph the screen; with `serial` keep what the serial port said beside it."""

    vm: VmRef
    serial: bool = False


class Screenshot(Value):
    """A PNG in the object store under `key`; sizes in pixels and bytes. `text` is the console's last screenful.

    `serial_key` names the serial port's log, if it was asked for.
    """

    key: str
    bytes: int
    width: int
    height: int
    text: str = ""
    serial_key: str | None = None


class RunCommand(Value):
    """Run a program in the guest as root. `limit` in seconds."""

    vm: VmRef
    argv: tuple[str, ...]
    stdin: str = ""
    limit: float = 30.0


class CommandDone(Value):
    """What it said; untrusted, each stream capped. `status` is its exit status."""

    status: int
    stdout: str
    stderr: str
    truncated: bool = False
    via: Literal["agent", "ssh"] = "agent"
    seconds: float = 0.0


class HostCapacity(Value):
    """What a host has for VMs (memory and disk in MiB) and for builds, and how it is reached.

    `relay` is the address of its console relay. `builds` run on it at a time. Its own lease is asked for on
    `lease_queue`, so that work which fills `queue` cannot cost it the lease and with it every VM; a host that knows
    of none takes it on `queue`.
    """

    host: str
    queue: str
    lease_queue: str | None = None
    memory: int
    cpus: int
    disk: int
    accelerator: Literal["kvm", "tcg"]
    relay: str | None = None
    builds: int = 2


class VmObserved(Value):
    """What a host's watcher tells a VM's workflow, as the signal `observed`."""

    token: int
    seen: VmSeen
    boot: int


class OpenForward(Value):
    """Make a port of the running guest reachable on this host's loopback; one that is there is adopted."""

    vm: VmRef
    forward: PortForward


class ForwardOpened(Value):
    """The forward, with its host port."""

    forward: PortForward


class HeldVm(Value):
    """A VM that may be on the host. Commands with a lower token than this one are to be refused."""

    vm_id: str
    token: int


class HoldHost(Value):
    """The host's own lease, held as long as its heartbeats are acknowledged; completed asynchronously.

    A new one replaces the one before. When it begins, the host removes every VM whose token is at most
    `floor` and that is not among `vms`: it was given up while the host did not answer.
    """

    host: str
    floor: int
    vms: tuple[HeldVm, ...] = ()


class HostLeft(Value):
    """The host gives its lease back by itself, after it has ended its VMs: it is shutting down for good."""

    reason: str
