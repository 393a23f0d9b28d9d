"""Which builds run, which wait and which are superseded. Pure: each rule takes the fleet's state and gives the next.

Slots are given in the order that `slot_floor` knows. What a build was promised lasts until it gives it back, or
until its workflow turns out to be gone.
"""

import heapq
import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from domain.errors import Problem
from workflows.fleet_models import FleetState
from workflows.slot_floor import Floor
from workflows.slot_models import (
    BuildAnswer,
    BuildsState,
    Place,
    QueuePlace,
    Slot,
    SlotCheck,
    SlotEnd,
    SlotRefused,
    SlotRequest,
    SlotState,
    SlotWait,
    Superseded,
)

MOST_WAITING: Final = 3000
"""How many builds may wait in all: the fleet's state has to fit into one payload (2 MB)."""
MOST_TOLD: Final = 20
"""How many at the head of the queue are told when their position changes; everybody else asks."""
CHECK_SECONDS: Final = 300.0
"""How often it is seen, while somebody waits, whether those who hold slots are still there."""
_LOOK_AHEAD: Final = 500
_RECENT: Final = 20
_UNKNOWN_SECONDS: Final = 600.0

Told = tuple[FleetState, tuple[BuildAnswer, ...]]


def reserve(state: FleetState, request: SlotRequest) -> Told:
    """Give a build a place in the queue, and supersede older ones of its key. Asking again changes nothing."""
    builds = state.builds
    held = _slot(builds, request.build_id)
    if held is not None:
        return state, (_granted(held),)
    if any(place.request == request for place in builds.waiting):
        return state, ()
    newer = _superseding(builds, request)
    if newer is not None:
        without = builds.model_copy(update={"waiting": _others(builds, request.build_id)})
        return _with(state, without), (_superseded(request.build_id, newer.build_id),)
    others = _others(builds, request.build_id)
    if len(others) >= MOST_WAITING:
        return state, (BuildAnswer(build_id=request.build_id, told=SlotRefused(problem=_full())),)
    waiting = (*others, Place(request=request))
    return _supersede(_with(state, builds.model_copy(update={"waiting": waiting})), request)


def release(state: FleetState, end: SlotEnd, now: datetime) -> FleetState:
    """Take back what a build has, be it a slot or a place."""
    builds = state.builds
    held = _slot(builds, end.build_id)
    recent = builds.recent
    if held is not None and end.completed:
        recent = (*recent, (now - held.since).total_seconds())[-_RECENT:]
    running = tuple(slot for slot in builds.running if slot is not held)
    changed = builds.model_copy(update={"running": running, "waiting": _others(builds, end.build_id), "recent": recent})
    return _with(state, changed)


def settle(state: FleetState, now: datetime) -> Told:
    """Give slots to all who may run now, and tell those at the head of the queue where they stand."""
    if not state.builds.waiting:
        return state, ()
    state, granted = _grant(state, now)
    state, queued = _tell(state, now)
    return state, (*granted, *queued)


def check(state: FleetState, now: datetime) -> Told:
    """Once in a while, and only when somebody waits: reach for all that hold slots, and for the next in the queue."""
    if seconds_to_check(state, now) != 0:
        return state, ()
    builds = state.builds
    ids = [slot.request.build_id for slot in builds.running]
    ids += [place.build_id for place in _forecast(state, now)[:MOST_TOLD]]
    answers = tuple(BuildAnswer(build_id=build_id, told=SlotCheck()) for build_id in ids)
    return _with(state, builds.model_copy(update={"checked_at": now})), answers


def seconds_to_check(state: FleetState, now: datetime) -> float | None:
    """Tell when the next check is due; nothing while nobody waits."""
    builds = state.builds
    if not builds.waiting:
        return None
    if builds.checked_at is None:
        return 0.0
    return max(0.0, CHECK_SECONDS - (now - builds.checked_at).total_seconds())


def places(state: FleetState, now: datetime) -> tuple[QueuePlace, ...]:
    """Tell the places of the first who wait."""
    return tuple(_forecast(state, now)[:_LOOK_AHEAD]) if state.builds.waiting else ()


def _grant(state: FleetState, now: datetime) -> Told:
    builds = state.builds
    queues = {host.capacity.host: host.capacity.queue for host in state.hosts}
    floor = Floor(_room(state), builds)
    granted: list[SlotState] = []
    served = dict(builds.served)
    turn = builds.turn
    while (chosen := floor.start_next()) is not None:
        request, host = chosen
        turn += 1
        served[request.org_id] = turn
        granted.append(SlotState(request=request, host=host, queue=queues[host], since=now))
    ids = {slot.request.build_id for slot in granted}
    running = (*builds.running, *granted)
    waiting = tuple(place for place in builds.waiting if place.request.build_id not in ids)
    concerned = {slot.request.org_id for slot in running} | {place.request.org_id for place in waiting}
    changed = builds.model_copy(
        update={
            "running": running,
            "waiting": waiting,
            "turn": turn,
            "served": {org: last for org, last in served.items() if org in concerned},
        }
    )
    return _with(state, changed), tuple(map(_granted, granted))


def _tell(state: FleetState, now: datetime) -> Told:
    """Tell newcomers, and those of the first whose position is another than they know."""
    builds = state.builds
    places = {place.build_id: place for place in _forecast(state, now)}
    answers: list[BuildAnswer] = []
    waiting: list[Place] = []
    for known in builds.waiting:
        place = places[known.request.build_id]
        if known.told == 0 or (known.told != place.position <= MOST_TOLD):
            told = SlotWait(position=place.position, starts_at=place.starts_at, reason=place.reason)
            answers.append(BuildAnswer(build_id=place.build_id, told=told))
            waiting.append(known.model_copy(update={"told": place.position}))
        else:
            waiting.append(known)
    return _with(state, builds.model_copy(update={"waiting": tuple(waiting)})), tuple(answers)


def _forecast(state: FleetState, now: datetime) -> list[QueuePlace]:
    """Run ahead: who will start in which order, and when, if builds take as long as they usually do."""
    builds = state.builds
    floor = Floor(_room(state), builds)
    reasons = {place.request.build_id: floor.obstacle(place.request) for place in builds.waiting}
    usual = median(builds.recent) if builds.recent else None
    requests = [slot.request for slot in builds.running] + [place.request for place in builds.waiting]
    sure = usual is not None or all(request.seconds is not None for request in requests)
    ends: list[tuple[datetime, int, SlotRequest, str]] = []
    number = itertools.count()

    def begins(request: SlotRequest, host: str, at: datetime) -> None:
        seconds = request.seconds if request.seconds is not None else usual or _UNKNOWN_SECONDS
        heapq.heappush(ends, (max(now, at + timedelta(seconds=seconds)), next(number), request, host))

    for slot in builds.running:
        begins(slot.request, slot.host, slot.since)
    order: list[tuple[SlotRequest, datetime | None]] = []
    clock = now
    while len(order) < _LOOK_AHEAD:
        while (chosen := floor.start_next()) is not None:
            order.append((chosen[0], clock if sure else None))
            begins(*chosen, clock)
        if not ends:
            break
        clock, _, ended, host = heapq.heappop(ends)
        floor.end(ended, host)
    order += [(request, None) for request in floor.rest()]
    return [
        QueuePlace(build_id=r.build_id, org_id=r.org_id, position=position, starts_at=at, reason=reasons[r.build_id])
        for position, (r, at) in enumerate(order, 1)
    ]


def _supersede(state: FleetState, request: SlotRequest) -> Told:
    """Tell older builds of the same key that they are superseded, as far as the newer one wants it."""
    if request.key is None or request.on_conflict == "queue":
        return state, ()
    builds = state.builds
    gone = {p.request.build_id for p in builds.waiting if _same_key(p.request, request) and _older(p.request, request)}
    answers = [_superseded(build_id, request.build_id) for build_id in sorted(gone)]
    running: list[SlotState] = []
    for slot in builds.running:
        older = _same_key(slot.request, request) and _older(slot.request, request)
        if request.on_conflict == "cancel_running" and older and not slot.superseded_by:
            answers.append(_superseded(slot.request.build_id, request.build_id))
            running.append(slot.model_copy(update={"superseded_by": request.build_id}))
        else:
            running.append(slot)
    waiting = tuple(place for place in builds.waiting if place.request.build_id not in gone)
    changed = builds.model_copy(update={"running": tuple(running), "waiting": waiting})
    return _with(state, changed), tuple(answers)


def _superseding(builds: BuildsState, request: SlotRequest) -> SlotRequest | None:
    """Find the newer build that supersedes this one before it has a place."""
    known = [slot.request for slot in builds.running] + [place.request for place in builds.waiting]
    return next(
        (k for k in known if _same_key(k, request) and k.on_conflict != "queue" and _older(request, k)),
        None,
    )


def _same_key(one: SlotRequest, other: SlotRequest) -> bool:
    return one.key is not None and (one.org_id, one.key) == (other.org_id, other.key)


def _older(one: SlotRequest, other: SlotRequest) -> bool:
    return (one.asked_at, one.build_id) < (other.asked_at, other.build_id)


def _room(state: FleetState) -> Mapping[str, int]:
    return {host.capacity.host: host.capacity.builds for host in state.hosts if host.up}


def _slot(builds: BuildsState, build_id: str) -> SlotState | None:
    return next((slot for slot in builds.running if slot.request.build_id == build_id), None)


def _others(builds: BuildsState, build_id: str) -> tuple[Place, ...]:
    return tuple(place for place in builds.waiting if place.request.build_id != build_id)


def _with(state: FleetState, builds: BuildsState) -> FleetState:
    return state.model_copy(update={"builds": builds})


def _granted(slot: SlotState) -> BuildAnswer:
    return BuildAnswer(build_id=slot.request.build_id, told=Slot(host=slot.host, queue=slot.queue))


def _superseded(build_id: str, by: str) -> BuildAnswer:
    return BuildAnswer(build_id=build_id, told=Superseded(by=by))


def _full() -> Problem:
    return Problem(
        code="queue.full",
        message=f"{MOST_WAITING} builds wait already; the queue takes no more.",
        retryable=True,
        next="Call retry_build later, or cancel builds that are no longer needed.",
    )
