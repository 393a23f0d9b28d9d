"""Where a job's log lies in the object store, and how a place in it is written down.

A log is a row of small objects `logs/<job>/<label>/<attempt>/<sequence>`, each holding LogRecords as
JSON lines and never changed once written. Labels begin with the job's generation and the step's
number, so key order is time order as long as a job has one step at work.
"""

import base64
import json
import re
from typing import NamedTuple

from pydantic import ValidationError

from domain.errors import Fault, Verdict
from infra.ports import LogRecord, ObjectInfo

_LABEL = re.compile(r"^[0-9]+\.[0-9]+-(?P<step>[a-z0-9_]+)(~.*)?$")
_KEY = re.compile(r"^logs/[^/]+/[^/]+/[0-9]{4}/[0-9]{8}$")
_PLACE = re.compile(r"^[^/:]+/[0-9]{4}/[0-9]{8}:[0-9]{1,9}$")
_LONGEST_CURSOR = 512


class Place(NamedTuple):
    """So many records (`done`) of the object `key` are read, and all objects before it."""

    key: str
    done: int


def job_prefix(job_id: str) -> str:
    """Begin the keys of a job's log."""
    return f"logs/{job_id}/"


def attempt_prefix(job_id: str, label: str, attempt: int) -> str:
    """Begin the keys of one attempt."""
    return f"{job_prefix(job_id)}{label}/{attempt:04d}/"


def is_key(key: str) -> bool:
    """Whether a part of a log can have this key."""
    return _KEY.match(key) is not None


def step_of_label(label: str) -> str:
    """Read the step's name out of `00.3-configuration_layer` or `00.6-verify~evidence`."""
    match = _LABEL.match(label)
    return match["step"] if match else label


def step_of_key(key: str) -> str:
    """Read the step's name out of an object's key."""
    return step_of_label(key.split("/")[2])


def encode_record(record: LogRecord) -> bytes:
    """Write a record as one line."""
    return json.dumps(record.model_dump(exclude_none=True), separators=(",", ":")).encode() + b"\n"


def decode_records(data: bytes) -> tuple[LogRecord, ...]:
    """Read an object's records.

    Raises:
        Fault: `log.damaged`: these bytes are not what was written. Reading them again may bring others.

    """
    try:
        return tuple(LogRecord.model_validate(json.loads(line)) for line in data.splitlines())
    except (ValueError, ValidationError) as error:  # not JSON, not UTF-8, or no record
        raise damaged(
            f"a part of the log was read with other bytes than were written: {str(error).splitlines()[0]}"
        ) from error


def damaged(message: str) -> Fault:
    """Say that the object store answered what nobody wrote."""
    return Fault.because("log.damaged", message, next="Try again; if it stays so, look at the object store.")


def missing_part(info: ObjectInfo) -> bytes:
    """Stand in a log for an object that the store lists and has not: one line that says so, as of its writing."""
    at = round(info.modified.timestamp() * 1000)
    return encode_record(LogRecord(at=at, kind="line", step=step_of_key(info.key), text=missing_text(info.key)))


def missing_text(key: str) -> str:
    """Say for people that a part of a log is not there."""
    return f"[a part of the log, {key}, could not be read]"


def count_lines(data: bytes) -> int:
    """Count an object's lines without decoding it: a text's own quotation marks are escaped in JSON."""
    return data.count(b'"kind":"line"')


def encode_cursor(job_id: str, place: Place | None) -> str:
    """Write a place as an opaque text; the beginning is empty."""
    if place is None:
        return ""
    text = f"{place.key.removeprefix(job_prefix(job_id))}:{place.done}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(job_id: str, cursor: str | None) -> Place | None:
    """Read a place back.

    Raises:
        Verdict: `log.bad_cursor`.

    """
    if not cursor:
        return None
    text = _plain(cursor) if len(cursor) <= _LONGEST_CURSOR else ""
    if not _PLACE.match(text):
        raise Verdict.because(
            "log.bad_cursor",
            "the cursor was not made by this log",
            path="cursor",
            value=cursor[:64],
            next="Leave the cursor out to read from the beginning, or pass a next_cursor unchanged.",
        )
    suffix, _, count = text.rpartition(":")
    return Place(job_prefix(job_id) + suffix, int(count))


def _plain(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:  # not base64, or not UTF-8
        return ""
