"""Reads and follows a job's log: one look-out per process and job, however many are waiting."""

import asyncio
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress

from domain.errors import Fault
from infra.log_layout import Place, decode_cursor, decode_records, encode_cursor, job_prefix, step_of_key
from infra.ports import LogPage, LogRecord, ObjectStore

_POLL_SECONDS = 0.25
_JOBS = 32
_CACHED_OBJECTS = 16  # of about 64 KiB each, for each job
_PROGRESS_OBJECTS = 64  # so far back progress is looked for, at first
_PAGE = 1000


class LogReader:
    """Pages through logs. Objects are listed once and then only what is new, since keys never change."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._jobs: OrderedDict[str, _Job] = OrderedDict()

    async def read(
        self,
        job_id: str,
        cursor: str | None = None,
        *,
        limit_bytes: int = 256 << 10,
        limit_records: int = 1000,
        wait_s: float = 0.0,
        steps: Collection[str] | None = None,
    ) -> LogPage:
        """Read what comes after `cursor`, waiting up to `wait_s` seconds for the first record.

        `limit_bytes` counts the records' texts; one record is given even if it is larger. With `steps`
        the other steps' records are passed over.

        Raises:
            Verdict: `log.bad_cursor`.
            Fault: `objects.unavailable`, also when the store was away until the wait was over.

        """
        place = decode_cursor(job_id, cursor)
        job = self._job(job_id)
        page = _Page(limit_bytes, limit_records, place)
        await job.look()
        seen = len(job.keys)
        await job.fill(page, steps)
        if not page.records and wait_s > 0:
            async with job.watched():
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        while not page.records:
                            seen = await job.grown_beyond(seen)
                            await job.fill(page, steps)
                if not page.records and job.fault is not None:
                    raise job.fault
        return LogPage(records=tuple(page.records), cursor=encode_cursor(job_id, page.place))

    async def progress(self, job_id: str) -> LogRecord | None:
        """Find the newest progress record; asked again, it reads only what is new."""
        job = self._job(job_id)
        await job.look()
        return await job.newest_progress()

    async def tail(self, job_id: str, n: int) -> LogPage:
        """Read the last `n` lines; the page's cursor follows on from them."""
        job = self._job(job_id)
        await job.look()
        lines: deque[LogRecord] = deque()
        place: Place | None = None
        for key in reversed(job.keys):
            records = await job.records(key)
            place = place or Place(key, len(records))
            for record in reversed(records):
                if record.kind == "line" and len(lines) < n:
                    lines.appendleft(record)
            if len(lines) >= n:
                break
        return LogPage(records=tuple(lines), cursor=encode_cursor(job_id, place))

    def _job(self, job_id: str) -> "_Job":
        """Find or make the job's entry; of those that nobody watches only the newest are kept."""
        job = self._jobs.setdefault(job_id, _Job(self._objects, job_id))
        self._jobs.move_to_end(job_id)
        idle = [key for key, known in self._jobs.items() if not known.watchers and known is not job]
        for key in idle[: max(0, len(self._jobs) - _JOBS)]:
            del self._jobs[key]
        return job


class _Page:
    """A page while it is filled."""

    def __init__(self, limit_bytes: int, limit_records: int, place: Place | None) -> None:
        self.records: list[LogRecord] = []
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


class _Job:
    """What is known of one job's log in this process."""

    def __init__(self, objects: ObjectStore, job_id: str) -> None:
        self.keys: list[str] = []
        self.watchers = 0
        self.fault: Fault | None = None
        self._objects = objects
        self._prefix = job_prefix(job_id)
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._progress: LogRecord | None = None
        self._searched = 0
        self._lock = asyncio.Lock()
        self._grown = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """List what is new."""
        async with self._lock:
            while True:
                after = self.keys[-1] if self.keys else ""
                found = await self._objects.list(self._prefix, after=after, limit=_PAGE)
                self.keys += [o.key for o in found]
                if found:
                    self._grown.set()
                    self._grown = asyncio.Event()
                if len(found) < _PAGE:
                    return

    async def records(self, key: str) -> tuple[LogRecord, ...]:
        """Read one object; those who ask for it at once share one request."""
        async with self._lock:
            if key not in self._cache:
                self._cache[key] = await self._objects.get(key)
            self._cache.move_to_end(key)
            if len(self._cache) > _CACHED_OBJECTS:
                self._cache.popitem(last=False)
            return decode_records(self._cache[key])

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

    async def fill(self, page: _Page, steps: Collection[str] | None) -> None:
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
