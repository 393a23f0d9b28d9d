"""What the fleet takes, gives and remembers. Memory and disk in MiB."""

from typing import Final, Literal

from activities.machines.vm_models import HostCapacity
from domain.errors import Problem
from domain.model import Value
from workflows.slot_models import BuildsState, QueuePlace

FLEET_ID = "fleet"
FLEET_MEMO: Final = "fleet"
"""The memo's field that holds a `FleetView`."""
"""The one workflow that has authority over hosts and leases."""


class ReserveRequest(Value):
    """A machine's workflow asks for room; a repeat replaces what it asked before. With `host`, there only.

    Private networks live on one host: who shares one of `networks` with a placed machine joins it there.
    """

    vm_id: str
    workflow_id: str
    memory: int
    cpus: int
    disk: int
    host: str | None = None
    networks: tuple[str, ...] = ()


class Lease(Value):
    """Room on a host, as the signal `placed`. `token` is higher than any that was given before."""

    host: str
    queue: str
    token: int
    relay: str | None = None


class Refusal(Value):
    """No host will ever have room, or the host that is needed is gone: the signal `refused`."""

    cause: Literal["verdict", "fault"]
    problems: tuple[Problem, ...]


class Queued(Value):
    """No host has room now, as the signal `queued`. `position` counts from 1."""

    position: int
    reason: str


class HostLost(Value):
    """The host of this lease is lost, as the signal `host_lost`: its machines do not run any more."""

    host: str
    token: int


class GiveBack(Value):
    """A lease that is no longer needed (`release`), or its memory and processors only (`park`).

    Token 0 gives back whatever the machine has, also its place in the queue.
    """

    vm_id: str
    token: int = 0


class LeaseState(Value):
    """A lease as the fleet holds it. A parked one has disk only."""

    vm_id: str
    workflow_id: str
    host: str
    token: int
    memory: int
    cpus: int
    disk: int
    networks: tuple[str, ...] = ()


class HostState(Value):
    """A host as the fleet knows it; `up` while it holds its own lease."""

    capacity: HostCapacity
    up: bool = True


class Waiting(Value):
    """A request in the queue. `passed` counts the later ones that were placed before it; `told` that it knows."""

    request: ReserveRequest
    passed: int = 0
    told: bool = False


class FleetState(Value):
    """All hosts, leases and who waits; `builds` are those that run and wait. `token` is the last one given."""

    token: int
    hosts: tuple[HostState, ...] = ()
    leases: tuple[LeaseState, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    builds: BuildsState = BuildsState()

    def host(self, name: str | None) -> HostState | None:
        """Find a host."""
        return next((host for host in self.hosts if host.capacity.host == name), None)

    def lease(self, vm_id: str) -> LeaseState | None:
        """Find a machine's lease."""
        return next((lease for lease in self.leases if lease.vm_id == vm_id), None)


class FleetInput(Value):
    """What the fleet begins with; nothing for a new one."""

    state: FleetState | None = None


class Answer(Value):
    """A signal that is due to a machine's workflow."""

    vm_id: str
    workflow_id: str
    told: Lease | Refusal | Queued | HostLost


class Room(Value):
    """What is left, or there altogether."""

    memory: int
    cpus: int
    disk: int


class HostView(Value):
    """A host in the fleet's overview; `builds` are at work there."""

    host: str
    up: bool
    queue: str
    accelerator: Literal["kvm", "tcg"]
    total: Room
    free: Room
    machines: int
    builds: int = 0


class FleetView(Value):
    """What the fleet shows in its memo, for everybody who wants to know (ADR 18).

    `waiting` are ids of machines in their order, `places` those of builds in the order of their probable starts, at
    most some hundred.
    """

    hosts: tuple[HostView, ...]
    waiting: tuple[str, ...]
    places: tuple[QueuePlace, ...] = ()
