"""What the rooms need of the outside, as protocols; `infra` has one adapter for each."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from domain.model import Value


class ObjectInfo(Value):
    """An object as the store reports it: its size in bytes, and when it was written last.

    `version` is another one each time the object is written; only `stat` tells it.
    """

    key: str
    bytes: int
    modified: datetime
    version: str = ""


class ObjectStore(Protocol):
    """An S3 bucket. Every method raises `Fault` (`objects.unavailable`) when the store does not answer."""

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write a small object; writing the same again is harmless."""
        ...

    async def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Write a file of any size, in parts."""
        ...

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Read a small object or a part of one; `Verdict` (`object.not_found`) if there is none."""
        ...

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read an object in chunks; `Verdict` (`object.not_found`) if there is none."""
        ...

    async def stat(self, key: str) -> ObjectInfo | None:
        """Tell an object's size, or nothing if there is none."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        """List objects in key order, beginning behind the key `after`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; removing one that is not there is harmless."""
        ...

    async def abort_uploads(self, prefix: str, *, before: datetime, dry_run: bool = False) -> tuple[ObjectInfo, ...]:
        """Give up uploads by parts that were begun before a time and not ended; with `dry_run` only tell them.

        `bytes` is what their parts take, as far as the store tells, `modified` when they were begun.
        """
        ...


class LogRecord(Value):
    """One record of a job's log. `at` is milliseconds since the epoch.

    A `line` has `text` (untrusted: it may have come from a guest); a `progress` has `percent`
    (0 to 100) and a short `text`.
    """

    at: int
    kind: Literal["line", "progress"]
    step: str
    text: str
    percent: float | None = None


class LogPage(Value):
    """Some records in order, and the cursor to ask for what comes after them.

    `numbers` are the numbers of the records' lines in the whole log, from 1; empty if they are not known.
    """

    records: tuple[LogRecord, ...]
    cursor: str
    numbers: tuple[int, ...] = ()


class FoundLine(Value):
    """A line that was looked for, and its number in the whole log; `match` if it holds the text itself."""

    record: LogRecord
    number: int
    match: bool = False


class FoundPage(Value):
    """What was found up to `cursor`; `more` if the log goes on behind it."""

    lines: tuple[FoundLine, ...]
    cursor: str
    more: bool
