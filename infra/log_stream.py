"""Writes a step's log to the object store without ever holding the step up."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from domain.errors import Fault
from infra.log_layout import attempt_prefix, encode_record, step_of_label
from infra.ports import LogRecord, ObjectStore

_log = logging.getLogger(__name__)

FLUSH_BYTES = 64 << 10
FLUSH_SECONDS = 1.0
BUFFER_BYTES = 4 << 20
LINE_CHARACTERS = 8192
CLOSE_SECONDS = 10.0
_LONGEST_WAIT = 10.0
_PAGE = 1000


class JobLog:
    """The log of one attempt at a step; made by `open`.

    Lines may come from any thread. What is buffered is written each second or each 64 KiB. While the
    store is away, up to 4 MiB are kept and tried again; beyond that the oldest lines go, and a line in
    their place tells how many. Of progress only the newest is written at each flush.
    """

    def __init__(
        self, objects: ObjectStore, job_id: str, label: str, attempt: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._objects = objects
        self._prefix = attempt_prefix(job_id, label, attempt)
        self._step = step_of_label(label)
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._progress: tuple[float, str] | None = None
        self._told: tuple[float, str] | None = None
        self._closed = False
        self._sequence: int | None = None
        self._in_flight: bytes | None = None
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, objects: ObjectStore, job_id: str, label: str, attempt: int) -> "AsyncGenerator[JobLog]":
        """Open the log of an attempt; leaving the context writes out what is left, within ten seconds.

        An attempt whose log exists already (a workflow that was reset counts its attempts anew) is
        continued behind its last object.
        """
        log = cls(objects, job_id, label, attempt)
        writer = asyncio.create_task(log.keep_writing())
        try:
            yield log
        finally:
            await log.close(writer)

    def line(self, text: str) -> None:
        """Add one line to the step's log; longer ones are cut at 8192 characters."""
        text = _valid(text)
        if len(text) > LINE_CHARACTERS:
            text = f"{text[:LINE_CHARACTERS]}… ({len(text) - LINE_CHARACTERS} more characters)"
        self._add(encode_record(LogRecord(at=self._now(), kind="line", step=self._step, text=text)))

    def progress(self, percent: float, text: str) -> None:
        """Tell how far the step is (0 to 100), and what it does now in a few words."""
        with self._lock:
            self._progress = (round(min(max(percent, 0.0), 100.0), 1), _valid(text)[:256])

    async def keep_writing(self) -> None:
        """Write out what comes, until cancelled."""
        wait = FLUSH_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
                wait = FLUSH_SECONDS
            except Fault as fault:
                _log.warning("log %s waits for the object store: %s", self._prefix, fault)
                wait = min(wait * 2, _LONGEST_WAIT)

    async def flush(self) -> None:
        """Write out all that is buffered.

        A batch keeps its key and its bytes until the store took it, so a put that was in truth done
        is only repeated.

        Raises:
            Fault: `objects.unavailable`; nothing is lost by it.

        """
        while (batch := self._batch()) is not None:
            if self._sequence is None:
                self._sequence = await self._next_sequence()
            await self._objects.put(f"{self._prefix}{self._sequence:08d}", batch, "application/jsonl")
            self._sequence += 1
            self._in_flight = None

    async def close(self, writer: asyncio.Task[None]) -> None:
        """Take no more lines, write out the rest with a deadline, and never fail."""
        with self._lock:
            self._closed = True
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._flush_at_last()
        except TimeoutError:
            _log.warning("log %s lost its last %d lines: the object store is away", self._prefix, self._unwritten())

    async def _flush_at_last(self) -> None:
        wait = FLUSH_SECONDS / 4
        while True:
            try:
                return await self.flush()
            except Fault:
                await asyncio.sleep(wait)
                wait *= 2

    def _add(self, line: bytes) -> None:
        with self._lock:
            if self._closed:
                return
            before = self._bytes
            self._lines.append(line)
            self._bytes += len(line)
            while self._bytes > BUFFER_BYTES:
                self._bytes -= len(self._lines.popleft())
                self._dropped += 1
            due = before < FLUSH_BYTES <= self._bytes
        if due:
            with suppress(RuntimeError):  # the loop is closed: the step is over
                self._loop.call_soon_threadsafe(self._wake.set)

    def _batch(self) -> bytes | None:
        """Take the batch that is not written yet, or the next one."""
        with self._lock:
            if self._in_flight is not None:
                return self._in_flight
            batch: list[bytes] = []
            if self._dropped:
                batch.append(self._record("line", f"[{self._dropped} lines were dropped: the log store was away]"))
                self._dropped = 0
            size = 0
            while self._lines and size < FLUSH_BYTES:
                line = self._lines.popleft()
                size += len(line)
                batch.append(line)
            self._bytes -= size
            if not self._lines and self._progress is not None and self._progress != self._told:
                self._told = self._progress
                batch.append(self._record("progress", self._told[1], self._told[0]))
            self._in_flight = b"".join(batch) or None
            return self._in_flight

    def _record(self, kind: str, text: str, percent: float | None = None) -> bytes:
        return encode_record(
            LogRecord.model_validate(
                {"at": self._now(), "kind": kind, "step": self._step, "text": text, "percent": percent}
            )
        )

    async def _next_sequence(self) -> int:
        after = ""
        while page := await self._objects.list(self._prefix, after=after, limit=_PAGE):
            after = page[-1].key
        return int(after.rpartition("/")[2]) + 1 if after else 0

    def _unwritten(self) -> int:
        with self._lock:
            return len(self._lines) + (self._in_flight or b"").count(b"\n")

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _valid(text: str) -> str:
    """Replace lone surrogates, which stand for bytes that were no text: no JSON reader downstream takes them."""
    return text.encode(errors="replace").decode()
