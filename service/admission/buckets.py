"""Token buckets and open requests, in the memory of one process: what a restart forgets, it forgives."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from domain.plan import Rate

_MOST_BUCKETS = 50_000


class Buckets:
    """A bucket for each name, full at first. Only so many are remembered, the latest used."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST_BUCKETS) -> None:
        self._clock = clock
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._open: Counter[str] = Counter()

    def take(self, name: str, rate: Rate) -> float:
        """Take one token and answer 0, or take none and answer in how many seconds there is one."""
        now = self._clock()
        level, seen = self._levels.pop(name, (float(rate.burst), now))
        level = min(float(rate.burst), level + (now - seen) * rate.per_second)
        taken = level >= 1
        self._levels[name] = (level - 1 if taken else level, now)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / rate.per_second

    def room(self, name: str, rate: Rate) -> bool:
        """Tell whether one more request may be open."""
        return self._open[name] < rate.at_once

    @contextmanager
    def occupied(self, name: str) -> Generator[None]:
        """Count a request for as long as it is open."""
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if self._open[name] <= 0:
                del self._open[name]
