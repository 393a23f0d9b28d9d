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
        return self._take(name, 1, rate.burst, rate.per_second)

    def take_bytes(self, name: str, rate: Rate, size: int) -> float:
        """Take one token for each byte; as `take`. What is larger than the bucket takes a full one."""
        return self._take(f"bytes, {name}", min(size, rate.burst_bytes), rate.burst_bytes, rate.bytes_per_second)

    def give_bytes_back(self, name: str, rate: Rate, size: int) -> None:
        """Put back what was taken for something that was refused after all."""
        self.take_bytes(name, rate, -size)

    def _take(self, name: str, wanted: int, burst: int, per_second: float) -> float:
        now = self._clock()
        level, seen = self._levels.pop(name, (float(burst), now))
        level = min(float(burst), level + (now - seen) * per_second)
        taken = level >= wanted
        self._levels[name] = (level - wanted if taken else level, now)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return 0.0 if taken else (wanted - level) / per_second

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
