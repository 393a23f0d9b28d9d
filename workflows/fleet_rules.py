"""Who gets room where. Pure: each rule takes the fleet's state and gives the next one."""

from typing import Final, Literal

from activities.machines.vm_models import HeldVm, HoldHost, HostCapacity
from domain.errors import Problem
from workflows.fleet_models import (
    Answer,
    FleetState,
    FleetView,
    GiveBack,
    HostLost,
    HostState,
    HostView,
    Lease,
    LeaseState,
    Queued,
    Refusal,
    ReserveRequest,
    Room,
    Waiting,
)

SPARE_MEMORY: Final = 256
"""MiB that each host keeps for itself. Memory is never promised twice."""
OVERCOMMIT: Final = 4
"""How many guests' processors share one of the host's."""
MOST_PASSED: Final = 16
"""How many later requests may be placed before one that finds no room; then they wait behind it."""


def host_up(state: FleetState, capacity: HostCapacity) -> FleetState:
    """Take a host in, again or for the first time; its leases stay."""
    others = tuple(host for host in state.hosts if host.capacity.host != capacity.host)
    hosts = sorted((*others, HostState(capacity=capacity)), key=lambda host: host.capacity.host)
    return state.model_copy(update={"hosts": tuple(hosts)})


def host_lost(state: FleetState, name: str) -> tuple[FleetState, tuple[Answer, ...]]:
    """Give up a host: its machines do not run any more, but what they wrote may still be on its disk."""
    lost = tuple(lease for lease in state.leases if lease.host == name)
    state = state.model_copy(
        update={
            "hosts": tuple(h.model_copy(update={"up": False}) if h.capacity.host == name else h for h in state.hosts),
            "leases": tuple(_parked(lease) if lease.host == name else lease for lease in state.leases),
        }
    )
    return state, tuple(_answer(lease, HostLost(host=name, token=lease.token)) for lease in lost)


def reserve(state: FleetState, request: ReserveRequest) -> FleetState:
    """Put a request at the end of the queue; a machine has one place only."""
    others = tuple(w for w in state.waiting if w.request.vm_id != request.vm_id)
    known = next((w for w in state.waiting if w.request == request), None)
    waiting = state.waiting if known is not None else (*others, Waiting(request=request))
    return state.model_copy(update={"waiting": waiting})


def withdraw(state: FleetState, vm_id: str) -> FleetState:
    """Take a machine out of the queue."""
    return state.model_copy(update={"waiting": tuple(w for w in state.waiting if w.request.vm_id != vm_id)})


def release(state: FleetState, given: GiveBack) -> FleetState:
    """End a lease. One that was given anew meanwhile, under a higher token, stays."""
    if given.token == 0:
        state = withdraw(state, given.vm_id)
    return state.model_copy(update={"leases": tuple(lease for lease in state.leases if not _is_meant(lease, given))})


def park(state: FleetState, given: GiveBack) -> FleetState:
    """Give back memory and processors, and keep the disk: the machine is off."""
    leases = tuple(_parked(lease) if _is_meant(lease, given) else lease for lease in state.leases)
    return state.model_copy(update={"leases": leases})


def settle(state: FleetState) -> tuple[FleetState, tuple[Answer, ...]]:
    """Place everybody who fits, refuse whom nobody will ever fit, and tell newcomers that they wait."""
    answers: list[Answer] = []
    left: list[Waiting] = []
    blocked: set[str] = set()
    for waiting in state.waiting:
        request = waiting.request
        refusal = _impossible(state, request)
        chosen = None if refusal is not None else _choose(state, request, blocked)
        if refusal is not None:
            answers.append(_answer(request, refusal))
        elif chosen is None:
            left.append(waiting)
            if waiting.passed >= MOST_PASSED:
                blocked |= {host.capacity.host for host in _candidates(state, request)}
        else:
            state, lease = _grant(state, request, chosen)
            answers.append(_answer(request, lease))
            left = [w.model_copy(update={"passed": w.passed + 1}) for w in left]
    queued = [
        _answer(w.request, Queued(position=place, reason=_why(state, w.request)))
        for place, w in enumerate(left, 1)
        if not w.told
    ]
    waiting_now = tuple(w.model_copy(update={"told": True}) for w in left)
    return state.model_copy(update={"waiting": waiting_now}), (*answers, *queued)


def hold_of(state: FleetState, name: str) -> HoldHost:
    """Say what a host needs to know when its lease begins."""
    held = tuple(HeldVm(vm_id=lease.vm_id, token=lease.token) for lease in state.leases if lease.host == name)
    return HoldHost(host=name, floor=state.token, vms=held)


def overview(state: FleetState) -> FleetView:
    """Show hosts, room and queue."""
    return FleetView(
        hosts=tuple(_host_view(state, host) for host in state.hosts),
        waiting=tuple(w.request.vm_id for w in state.waiting),
    )


def total(capacity: HostCapacity) -> Room:
    """Tell how much of a host can be given away."""
    return Room(memory=capacity.memory - SPARE_MEMORY, cpus=capacity.cpus * OVERCOMMIT, disk=capacity.disk)


def free(state: FleetState, host: HostState, *, without: str | None = None) -> Room:
    """Tell what is left on a host; `without` is a machine whose own lease does not count."""
    room = total(host.capacity)
    name = host.capacity.host
    taken = [lease for lease in state.leases if lease.host == name and lease.vm_id != without]
    return Room(
        memory=room.memory - sum(lease.memory for lease in taken),
        cpus=room.cpus - sum(lease.cpus for lease in taken),
        disk=room.disk - sum(lease.disk for lease in taken),
    )


def _fits(room: Room, request: ReserveRequest) -> bool:
    return request.memory <= room.memory and request.cpus <= room.cpus and request.disk <= room.disk


def _candidates(state: FleetState, request: ReserveRequest) -> list[HostState]:
    wanted = {request.host} if request.host is not None else _hosts_of_networks(state, request)
    return [h for h in state.hosts if h.up and (not wanted or h.capacity.host in wanted)]


def _hosts_of_networks(state: FleetState, request: ReserveRequest) -> set[str]:
    """Tell where the request's private networks are already."""
    networks = set(request.networks)
    others = (lease for lease in state.leases if lease.vm_id != request.vm_id)
    return {lease.host for lease in others if networks.intersection(lease.networks)}


def _choose(state: FleetState, request: ReserveRequest, blocked: set[str]) -> HostState | None:
    """Choose the host with the most free memory, so that machines spread."""
    rooms = [
        (free(state, host, without=request.vm_id), host)
        for host in _candidates(state, request)
        if host.capacity.host not in blocked
    ]
    fitting = [(room.memory, host) for room, host in rooms if _fits(room, request)]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _grant(state: FleetState, request: ReserveRequest, host: HostState) -> tuple[FleetState, Lease]:
    token = state.token + 1
    lease = LeaseState(
        vm_id=request.vm_id,
        workflow_id=request.workflow_id,
        host=host.capacity.host,
        token=token,
        memory=request.memory,
        cpus=request.cpus,
        disk=request.disk,
        networks=request.networks,
    )
    others = tuple(known for known in state.leases if known.vm_id != request.vm_id)
    state = state.model_copy(update={"token": token, "leases": (*others, lease)})
    capacity = host.capacity
    return state, Lease(host=capacity.host, queue=capacity.queue, token=token, relay=capacity.relay)


def _impossible(state: FleetState, request: ReserveRequest) -> Refusal | None:
    """Tell why no host will ever do; nothing while one may, or while there is none at all yet."""
    if request.host is not None:
        host = state.host(request.host)
        if host is None or not host.up:
            return _host_is_gone(request.host)
    known = [host for host in state.hosts if request.host in {None, host.capacity.host}]
    if not known or any(_fits(total(host.capacity), request) for host in known):
        return None
    rooms = [total(host.capacity) for host in known]
    needs: tuple[tuple[Literal["memory", "cpus", "disk"], int], ...] = (
        ("memory", request.memory),
        ("cpus", request.cpus),
        ("disk", request.disk),
    )
    problems = tuple(
        _too_large(what, wanted, most)
        for what, wanted in needs
        if wanted > (most := max(getattr(room, what) for room in rooms))
    )
    return Refusal(cause="verdict", problems=problems or (_no_single_host(),))


def _too_large(what: Literal["memory", "cpus", "disk"], wanted: int, most: int) -> Problem:
    unit = "" if what == "cpus" else " MiB"
    return Problem(
        code=f"host.{what}",
        message=f"No host of this factory has room for {wanted}{unit} of {what}; the largest has {max(most, 0)}{unit}.",
        path="disk_gb" if what == "disk" else what,
        value=str(wanted),
        next="Ask for less, or add a larger host.",
    )


def _no_single_host() -> Problem:
    return Problem(
        code="host.capacity",
        message="No single host has that much memory, processors and disk together.",
        next="Ask for less, or add a larger host.",
    )


def _host_is_gone(name: str) -> Refusal:
    problem = Problem(
        code="host.lost",
        message=f"The machine's disk is on the host {name}, which does not answer.",
        retryable=True,
        next="Try again when the host is back, or delete the machine and create a new one.",
    )
    return Refusal(cause="fault", problems=(problem,))


def _why(state: FleetState, request: ReserveRequest) -> str:
    hosts = {request.host} if request.host else _hosts_of_networks(state, request)
    where = f"the host {', '.join(sorted(hosts))}" if hosts else "any host"
    if not any(host.up for host in state.hosts):
        return "no host is up"
    return f"{request.memory} MiB of memory, {request.cpus} processors and {request.disk} MiB of disk on {where}"


def _parked(lease: LeaseState) -> LeaseState:
    return lease.model_copy(update={"memory": 0, "cpus": 0})


def _is_meant(lease: LeaseState, given: GiveBack) -> bool:
    return lease.vm_id == given.vm_id and (given.token == 0 or lease.token <= given.token)


def _answer(to: ReserveRequest | LeaseState, told: Lease | Refusal | Queued | HostLost) -> Answer:
    return Answer(vm_id=to.vm_id, workflow_id=to.workflow_id, told=told)


def _host_view(state: FleetState, host: HostState) -> HostView:
    capacity = host.capacity
    return HostView(
        host=capacity.host,
        up=host.up,
        queue=capacity.queue,
        accelerator=capacity.accelerator,
        total=total(capacity),
        free=free(state, host),
        machines=sum(lease.host == capacity.host for lease in state.leases),
        builds=sum(slot.host == capacity.host for slot in state.builds.running),
    )
