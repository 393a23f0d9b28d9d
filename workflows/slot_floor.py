"""Who starts next, and where: the order of builds, worked out on a copy that may also be run ahead of time.

Organizations take turns. The one with the fewest builds at work goes first, then the one that was served
longest ago; its priorities order only its own builds, so that nobody gets ahead of others by asking.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from domain.build.inputs import BuildPriority
from workflows.slot_models import BuildsState, SlotRequest

_RANK: Final[Mapping[BuildPriority, int]] = {"high": 0, "normal": 1, "low": 2}

_Standing = tuple[int, int, datetime, str]
"""How many builds of an organization are at work, when it was last served, since when its next waits, its id."""


def in_order(requests: Iterable[SlotRequest]) -> list[SlotRequest]:
    """Order the requests of one organization."""
    return sorted(requests, key=lambda request: (_RANK[request.priority], request.asked_at, request.build_id))


class Floor:
    """What is free on the hosts that are up (`room`: slots for each), and who waits for it.

    Organizations whose next build may run now stand in a heap, the one whose turn it is first. A build that starts or
    ends changes where its own organization stands and nobody else's; what it said before is passed over.
    """

    def __init__(self, room: Mapping[str, int], builds: BuildsState) -> None:
        self._free = dict(room)
        self._running = Counter(slot.request.org_id for slot in builds.running)
        self._keys = Counter((slot.request.org_id, slot.request.key) for slot in builds.running if slot.request.key)
        for slot in builds.running:
            if slot.host in self._free:
                self._free[slot.host] -= 1
        waiting: dict[str, list[SlotRequest]] = defaultdict(list)
        for place in builds.waiting:
            waiting[place.request.org_id].append(place.request)
        self._queues = {org: in_order(requests) for org, requests in waiting.items()}
        self._most = {org: max(request.most for request in requests) for org, requests in waiting.items()}
        self._served = dict(builds.served)
        self._turn = builds.turn
        self._next: dict[str, tuple[_Standing, SlotRequest]] = {}
        self._heap: list[_Standing] = []
        for org in self._queues:
            self._line_up(org)

    def start_next(self) -> tuple[SlotRequest, str] | None:
        """Start the next build that may run now, and say on which host; nothing if none may."""
        host = max(self._free, key=lambda name: (self._free[name], name), default=None)
        if host is None or self._free[host] <= 0:
            return None
        chosen = self._first()
        if chosen is None:
            return None
        org = chosen.org_id
        self._queues[org].remove(chosen)
        self._free[host] -= 1
        self._turn += 1
        self._served[org] = self._turn
        self._running[org] += 1
        if chosen.key:
            self._keys[org, chosen.key] += 1
        self._line_up(org)
        return chosen, host

    def end(self, request: SlotRequest, host: str) -> None:
        """Take back the slot of a build."""
        if host in self._free:
            self._free[host] += 1
        self._running[request.org_id] -= 1
        if request.key:
            self._keys[request.org_id, request.key] -= 1
        self._line_up(request.org_id)

    def rest(self) -> list[SlotRequest]:
        """List who still waits, in the order of asking."""
        left = (request for queue in self._queues.values() for request in queue)
        return sorted(left, key=lambda request: (request.asked_at, request.build_id))

    def obstacle(self, request: SlotRequest) -> str:
        """Say in words what a build waits for."""
        if not self._free:
            return "no host is up"
        if self._holds_key(request):
            return f"another build with the concurrency key {request.key} is at work"
        if self._running[request.org_id] >= request.most:
            return f"the plan lets {request.most} {_builds(request.most)} of the organization run at a time"
        return "all hosts are at work on other builds"

    def _first(self) -> SlotRequest | None:
        while self._heap:
            standing = self._heap[0]
            now = self._next.get(standing[-1])
            if now is not None and now[0] == standing:
                return now[1]
            heapq.heappop(self._heap)
        return None

    def _line_up(self, org: str) -> None:
        """Say anew where an organization stands, if it has a build that may run now."""
        candidate = self._candidate(org)
        if candidate is None:
            self._next.pop(org, None)
            return
        standing = (self._running[org], self._served.get(org, 0), candidate.asked_at, org)
        self._next[org] = standing, candidate
        heapq.heappush(self._heap, standing)

    def _candidate(self, org: str) -> SlotRequest | None:
        running = self._running[org]
        if running >= self._most.get(org, 0):
            return None
        return next((r for r in self._queues[org] if running < r.most and not self._holds_key(r)), None)

    def _holds_key(self, request: SlotRequest) -> bool:
        return request.key is not None and self._keys[request.org_id, request.key] > 0


def _builds(count: int) -> str:
    return "build" if count == 1 else "builds"
