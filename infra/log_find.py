"""Chooses lines of a log: by number, by time, by a text in them with the lines around it."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from domain.model import Value
from infra.log_layout import count_lines, decode_records, step_of_key
from infra.ports import FoundLine, LogRecord


class LogWish(Value):
    """Which lines are wanted; all that is given must hold.

    Lines are numbered from 1 over the whole job. `since` and `until` are milliseconds since the epoch. `text` is
    looked for as it is, in upper and lower case alike, and `context` lines before and after each find come with it.
    """

    first_line: int | None = None
    last_line: int | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    context: int = 0
    steps: tuple[str, ...] | None = None

    def is_over(self, number: int) -> bool:
        """Tell whether no line from this number on can be wanted."""
        return self.last_line is not None and number > self.last_line


class Read(NamedTuple):
    """How many records of an object are dealt with, and whether there was no room for the next."""

    done: int
    full: bool = False


class Finder:
    """Takes a log's records in order and keeps the wanted ones, up to `limit_lines` and `limit_bytes` of text."""

    def __init__(self, wish: LogWish, *, limit_bytes: int, limit_lines: int) -> None:
        self.found: list[FoundLine] = []
        self._wish = wish
        self._text = None if wish.text is None else wish.text.casefold()
        self._before: deque[FoundLine] = deque(maxlen=wish.context)
        self._after = 0
        self._bytes_left = limit_bytes
        self._lines_left = max(1, limit_lines)

    def considers(self, key: str, data: bytes, before: int, done: int) -> list[FoundLine]:
        """List the lines among an object's first `done` records that the text is looked for in."""
        step, number, found = step_of_key(key), before, list[FoundLine]()
        for record in decode_records(data)[:done]:
            number += record.kind == "line"
            if record.kind == "line" and self._considers(record, number, step):
                found.append(FoundLine(record=record, number=number))
        return found

    def comes_from(self, lines: Sequence[FoundLine]) -> None:
        """Take up what the lines before a cursor leave open: what goes before the next find, or still after one.

        Twice the context of them says it exactly: which of the last are told already depends on as many before.
        """
        for line in lines:
            if self._is_hit(line.record):
                self._before.clear()
                self._after = self._wish.context
            elif self._after:
                self._after -= 1
            else:
                self._before.append(line)

    def reads(self, key: str, data: bytes, before: int, done: int) -> Read:
        """Consider an object's records behind the first `done`; `before` lines are in the objects before it."""
        last = before + count_lines(data)
        if self._wish.first_line is not None and last < self._wish.first_line:
            return Read(data.count(b"\n"))
        step, number = step_of_key(key), before
        for index, record in enumerate(decode_records(data), start=1):
            number += record.kind == "line"
            if index > done:
                if record.kind == "line" and not self._takes(record, number, step):
                    return Read(done, full=True)
                done = index
        return Read(done)

    def _takes(self, record: LogRecord, number: int, step: str) -> bool:
        """Consider a line; false if it is wanted and there is no room for it any more."""
        if not self._considers(record, number, step):
            return True
        hit = self._is_hit(record)
        line = FoundLine(record=record, number=number, match=hit and self._text is not None)
        if not hit and not self._after:
            self._before.append(line)
            return True
        wanted = [*self._before, line] if hit else [line]
        if not self._fits(wanted):
            return False
        self.found += wanted
        self._before.clear()
        self._after = self._wish.context if hit else self._after - 1
        return True

    def _is_hit(self, record: LogRecord) -> bool:
        return self._text is None or self._text in record.text.casefold()

    def _considers(self, record: LogRecord, number: int, step: str) -> bool:
        wish = self._wish
        return (
            (wish.steps is None or step in wish.steps)
            and (wish.first_line is None or number >= wish.first_line)
            and (wish.last_line is None or number <= wish.last_line)
            and (wish.since is None or record.at >= wish.since)
            and (wish.until is None or record.at <= wish.until)
        )

    def _fits(self, wanted: list[FoundLine]) -> bool:
        size = sum(len(line.record.text.encode(errors="replace")) for line in wanted)
        if self.found and (len(wanted) > self._lines_left or size > self._bytes_left):
            return False
        self._lines_left -= len(wanted)
        self._bytes_left -= size
        return True
