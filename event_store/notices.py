"""Who waits for which version of an aggregate, and which versions the projector's notices told of last."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Generator
from contextlib import contextmanager

_REMEMBERED = 1000


class Waiter:
    """Someone of an organization who waits for a version; woken when it is seen, or when a notice may be lost."""

    def __init__(self, org_id: str, version: int) -> None:
        self.org_id = org_id
        self.version = version
        self.woken = asyncio.Event()
        self.seen = False

    def hear(self, org_id: str, version: int) -> None:
        """Hear that an organization can see a version."""
        if self.org_id == org_id and version >= self.version:
            self.seen = True
            self.woken.set()


class Notices:
    """Hears notices (`projection.notice`), tells who waits, and remembers the newest for who comes a moment late."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._last = OrderedDict[str, tuple[str, int]]()

    @contextmanager
    def waiter(self, org_id: str, key: str, version: int) -> Generator[Waiter]:
        """Have someone told of notices about the aggregate `key`, also of the last one that came before."""
        waiter = Waiter(org_id, version)
        if key in self._last:
            waiter.hear(*self._last[key])
        self._waiting[key].add(waiter)
        try:
            yield waiter
        finally:
            self._waiting[key].discard(waiter)
            if not self._waiting[key]:
                del self._waiting[key]

    def hear(self, notice: str) -> None:
        """Tell those whom it is about."""
        key, version, org_id = notice.split(" ", 2)
        self._last[key] = told = org_id, int(version)
        self._last.move_to_end(key)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        for waiter in self._waiting.get(key, ()):
            waiter.hear(*told)

    def wake_all(self) -> None:
        """Have everybody look: notices may have been lost."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.woken.set()
