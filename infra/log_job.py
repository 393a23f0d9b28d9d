"""What a process knows of one job's log: its objects, read when they are needed, looked for while somebody waits."""

import asyncio
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from itertools import groupby

from domain.errors import Fault, Verdict
from infra.log_find import Finder, LogWish
from infra.log_layout import Place, count_lines, damaged, decode_records, is_key, job_prefix, missing_part, step_of_key
from infra.ports import FoundLine, LogRecord, ObjectStore

_POLL_SECONDS = 0.25
_CACHED_OBJECTS = 16  # of about 64 KiB each, for each job
_PROGRESS_OBJECTS = 64  # so far back progress is looked for, at first
_PAGE = 1000
_AT_ONCE = 16
_COUNTED_OBJECTS = 512  # so many are read, if need be, to say which number a line has
_CONTEXT_OBJECTS = 64  # so far back lines are looked for that belong to a find behind a cursor
_SEARCHED_BYTES = 8 << 20  # of objects read by one search, which is then continued at its cursor


class PageBeingFilled:
    """A page while it is filled."""

    def __init__(self, limit_bytes: int, limit_records: int, place: Place | None) -> None:
        self.records: list[LogRecord] = []
        self.places: list[Place] = []
        self.place = place
        self._bytes_left = limit_bytes
        self._records_left = max(1, limit_records)

    def takes(self, record: LogRecord) -> bool:
        """Add the record unless the page is full."""
        size = len(record.text.encode(errors="replace"))
        if self._records_left <= 0 or (self.records and size > self._bytes_left):
            return False
        self.records.append(record)
        self._bytes_left -= size
        self._records_left -= 1
        return True


class KnownLog:
    """What is known of one job's log in this process."""

    def __init__(self, objects: ObjectStore, job_id: str) -> None:
        self.keys: list[str] = []
        self.watchers = 0
        self.fault: Fault | None = None
        self._objects = objects
        self._prefix = job_prefix(job_id)
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._missed: set[str] = set()  # were listed and not there
        self._progress: LogRecord | None = None
        self._searched = 0
        self._lines: dict[str, int] = {}  # in each object that was read
        self._counting = asyncio.Lock()
        self._lock = asyncio.Lock()
        self._grown = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """List what is new.

        Raises:
            Fault: `log.damaged` or `objects.unavailable`.

        """
        async with self._lock:
            while True:
                after = self.keys[-1] if self.keys else ""
                found = await self._objects.list(self._prefix, after=after, limit=_PAGE)
                if strange := [o.key for o in found if not is_key(o.key)]:
                    raise damaged(f"the object store lists {strange[0]!r} among the parts of a log")
                self.keys += [o.key for o in found]
                if found:
                    self._grown.set()
                    self._grown = asyncio.Event()
                if len(found) < _PAGE:
                    return

    async def records(self, key: str) -> tuple[LogRecord, ...]:
        """Read one object; those who ask for it at once share one request. What is damaged is not kept.

        Raises:
            Fault: `log.damaged` or `objects.unavailable`.

        """
        async with self._lock:
            data = self._cache.get(key)
            if data is None:
                data = await self._get(key)
            records = decode_records(data)
            self._lines[key] = count_lines(data)
            if key not in self._missed:
                self._cache[key] = data
                self._cache.move_to_end(key)
            if len(self._cache) > _CACHED_OBJECTS:
                self._cache.popitem(last=False)
            return records

    async def _get(self, key: str) -> bytes:
        """Read an object that was listed; the caller holds the lock.

        Without it the list was wrong, or is out of date: it is made anew. If that names it again, it is lost for good
        (a store whose disk was full may have lost it), and the rest of the log is not to be hidden by that.
        """
        try:
            return await self._objects.get(key)
        except Verdict as verdict:
            if key in self._missed and (listed := await self._objects.list(key, limit=1)):
                return missing_part(listed[0])
            self._missed.add(key)
            self.keys, self._searched = [], 0
            raise damaged(f"the object store listed {key!r} and has it not") from verdict

    async def newest_progress(self) -> LogRecord | None:
        """Find the newest progress record known."""
        end = len(self.keys)
        for key in reversed(self.keys[max(self._searched, end - _PROGRESS_OBJECTS) : end]):
            found = [record for record in await self.records(key) if record.kind == "progress"]
            if found:
                self._progress = found[-1]
                break
        self._searched = end
        return self._progress

    async def fill(self, page: PageBeingFilled, steps: Collection[str] | None) -> None:
        """Put records into the page until it is full or the log is at its end."""
        start = 0 if page.place is None else bisect_left(self.keys, page.place.key)
        for key in self.keys[start:]:
            if steps is not None and step_of_key(key) not in steps:
                continue
            records = await self.records(key)
            done = page.place.done if page.place is not None and page.place.key == key else 0
            for index, record in enumerate(records[done:], start=done + 1):
                if not page.takes(record):
                    return
                page.place = Place(key, index)
                page.places.append(page.place)

    async def numbers(self, places: Collection[Place]) -> tuple[int, ...]:
        """Number the lines at these places, which are in order; nothing if too much would have to be read for it."""
        if not places:
            return ()
        end = bisect_left(self.keys, [*places][-1].key) + 1
        if sum(key not in self._lines for key in self.keys[:end]) > _COUNTED_OBJECTS:
            return ()
        await self._count(end)
        found: list[int] = []
        for key, group in groupby(places, key=lambda place: place.key):
            before = self._lines_before(bisect_left(self.keys, key))
            kinds = [record.kind for record in await self.records(key)]
            found += [before + kinds[: place.done].count("line") for place in group]
        return tuple(found)

    async def find(self, finder: Finder, wish: LogWish, place: Place | None) -> tuple[Place | None, bool]:
        """Give the finder what lies behind `place` until it is full; answers how far it came and if there is more."""
        start = 0 if place is None else bisect_left(self.keys, place.key)
        await self._count(start)
        if place is not None and wish.context:
            finder.comes_from(await self._before(place, finder, 2 * wish.context))
        number = self._lines_before(start)
        budget = _SEARCHED_BYTES
        for first in range(start, len(self.keys), _AT_ONCE):
            if budget <= 0:
                return place, True
            keys = self.keys[first : first + _AT_ONCE]
            for key, data in zip(keys, await self._several(keys), strict=True):
                if wish.is_over(number + 1):
                    return place, False
                done = place.done if place is not None and place.key == key else 0
                read = finder.reads(key, data, number, done)
                place = Place(key, read.done) if read.done else place
                if read.full:
                    return place, True
                self._lines[key] = count_lines(data)
                number += self._lines[key]
                budget -= len(data)
        return place, False

    async def _before(self, place: Place, finder: Finder, most: int) -> list[FoundLine]:
        """Read the last lines up to a place that the finder would consider."""
        found: list[FoundLine] = []
        end = bisect_right(self.keys, place.key)
        for index in range(end - 1, max(-1, end - 1 - _CONTEXT_OBJECTS), -1):
            key = self.keys[index]
            [data] = await self._several([key])
            done = place.done if key == place.key else data.count(b"\n")
            found = [*finder.considers(key, data, self._lines_before(index), done), *found]
            if len(found) >= most:
                break
        return found[-most:]

    async def _count(self, end: int) -> None:
        """Know how many lines each of the first `end` objects has. Objects never change, so each is read once."""
        async with self._counting:
            unknown = [key for key in self.keys[:end] if key not in self._lines]
            for first in range(0, len(unknown), _AT_ONCE):
                keys = unknown[first : first + _AT_ONCE]
                found = await self._several(keys)
                self._lines |= zip(keys, map(count_lines, found), strict=True)

    def _lines_before(self, end: int) -> int:
        return sum(self._lines[key] for key in self.keys[:end])

    async def _several(self, keys: list[str]) -> list[bytes]:
        async with self._lock:
            return await asyncio.gather(*map(self._get, keys))

    async def grown_beyond(self, count: int) -> int:
        """Wait until there are more than `count` objects, and tell how many; the caller holds `watched`."""
        while len(self.keys) <= count:
            await self._grown.wait()
        return len(self.keys)

    @asynccontextmanager
    async def watched(self) -> "AsyncGenerator[None]":
        """Keep looking while at least one reader waits."""
        self.watchers += 1
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            self.watchers -= 1
            if not self.watchers:
                self._watch.cancel()
                self._watch = None

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
                self.fault = None
            except Fault as fault:
                self.fault = fault
            await asyncio.sleep(_POLL_SECONDS)
