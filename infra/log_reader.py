"""Reads and follows a job's log: one look-out per process and job, however many are waiting."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Collection
from contextlib import suppress

from infra.log_find import Finder, LogWish
from infra.log_job import KnownLog, PageBeingFilled
from infra.log_layout import Place, decode_cursor, encode_cursor
from infra.ports import FoundPage, LogPage, LogRecord, ObjectStore

_JOBS = 32


class LogReader:
    """Pages through logs. Objects are listed once and then only what is new, since keys never change."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._jobs: OrderedDict[str, KnownLog] = OrderedDict()

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
        page = PageBeingFilled(limit_bytes, limit_records, place)
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
        numbers = await job.numbers(page.places)
        return LogPage(records=tuple(page.records), cursor=encode_cursor(job_id, page.place), numbers=numbers)

    async def find(
        self,
        job_id: str,
        wish: LogWish,
        cursor: str | None = None,
        *,
        limit_bytes: int = 256 << 10,
        limit_lines: int = 1000,
    ) -> FoundPage:
        """Find lines behind `cursor`. One call reads a bounded part of the log; `more` says to go on.

        Raises:
            Verdict: `log.bad_cursor`.
            Fault: `objects.unavailable`.

        """
        place = decode_cursor(job_id, cursor)
        job = self._job(job_id)
        await job.look()
        finder = Finder(wish, limit_bytes=limit_bytes, limit_lines=limit_lines)
        place, more = await job.find(finder, wish, place)
        return FoundPage(lines=tuple(finder.found), cursor=encode_cursor(job_id, place), more=more)

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
        places: deque[Place] = deque()
        place: Place | None = None
        for key in reversed(job.keys):
            records = await job.records(key)
            place = place or Place(key, len(records))
            for index, record in reversed(list(enumerate(records, start=1))):
                if record.kind == "line" and len(lines) < n:
                    lines.appendleft(record)
                    places.appendleft(Place(key, index))
            if len(lines) >= n:
                break
        numbers = await job.numbers(places)
        return LogPage(records=tuple(lines), cursor=encode_cursor(job_id, place), numbers=numbers)

    def _job(self, job_id: str) -> KnownLog:
        """Find or make the job's entry; of those that nobody watches only the newest are kept."""
        job = self._jobs.setdefault(job_id, KnownLog(self._objects, job_id))
        self._jobs.move_to_end(job_id)
        idle = [key for key, known in self._jobs.items() if not known.watchers and known is not job]
        for key in idle[: max(0, len(self._jobs) - _JOBS)]:
            del self._jobs[key]
        return job
