"""Who starts next, and where: the order of builds, worked out on a copy that may also be run ahead of time.

Organizations take turns. The one with the fewest builds at work goes first, then the one that was served
longest ago; its priorities order only its own builds, so that nobody gets ahead of others by asking.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from domain.build.inputs import BuildPriority
from workflows.slot_models import BuildsState, SlotRequest

_RANK: Final[dict[BuildPriority, int]] = {"high": 0, "normal": 1, "low": 2}


def in_order(requests: Iterable[SlotRequest]) -> list[SlotRequest]:
    """Order the requests of one organization."""
    return sorted(requests, key=lambda request: (_RANK[request.priority], request.asked_at, request.build_id))


class Floor:
    """What is free on the hosts that are up (`room`: slots for each), and who waits for it."""

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
        self._served = dict(builds.served)
        self._turn = builds.turn

    def start_next(self) -> tuple[SlotRequest, str] | None:
        """Start the next build that may run now, and say on which host; nothing if none may."""
        host = max(self._free, key=lambda name: (self._free[name], name), default=None)
        if host is None or self._free[host] <= 0:
            return None
        candidates = [request for org in self._queues if (request := self._candidate(org)) is not None]
        if not candidates:
            return None
        chosen = min(candidates, key=self._fairness)
        self._queues[chosen.org_id].remove(chosen)
        self._free[host] -= 1
        self._turn += 1
        self._served[chosen.org_id] = self._turn
        self._running[chosen.org_id] += 1
        if chosen.key:
            self._keys[chosen.org_id, chosen.key] += 1
        return chosen, host

    def end(self, request: SlotRequest, host: str) -> None:
        """Take back the slot of a build."""
        if host in self._free:
            self._free[host] += 1
        self._running[request.org_id] -= 1
        if request.key:
            self._keys[request.org_id, request.key] -= 1

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

    def _candidate(self, org: str) -> SlotRequest | None:
        return next(
            (r for r in self._queues[org] if self._running[org] < r.most and not self._holds_key(r)),
            None,
        )

    def _holds_key(self, request: SlotRequest) -> bool:
        return request.key is not None and self._keys[request.org_id, request.key] > 0

    def _fairness(self, request: SlotRequest) -> tuple[int, int, str, str]:
        org = request.org_id
        return (self._running[org], self._served.get(org, 0), request.asked_at.isoformat(), org)


def _builds(count: int) -> str:
    return "build" if count == 1 else "builds"
