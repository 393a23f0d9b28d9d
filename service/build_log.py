"""Reading a build's log, in parts that an assistant can take in."""

from datetime import UTC, datetime

from domain.budget import REPLY_BYTES
from domain.build.state import RESTING
from domain.build.steps import StepName
from domain.caller import Caller
from domain.errors import Verdict
from domain.model import Value
from domain.text import clean_untrusted
from domain.views import LogLine, LogView
from infra.log_find import LogWish
from infra.ports import LogPage, LogRecord
from service.factory import Factory
from service.lookup import build_id_of, visible_build
from service.permissions import require

MOST_LINES = 150
LINE_CHARACTERS = 1_000
USUAL_LINES = 50
# Lines are told twice, as text and as JSON with some 100 bytes around each: together what an answer may cost.
TEXT_BYTES = (REPLY_BYTES - 100 * USUAL_LINES) // 2
LONG_TEXT_BYTES = 6_000
_LONGEST_NUMBER = 10


class LogQuery(Value):
    """Which part of a log is wanted. `wait_s` is in seconds.

    `start` and `end` are numbers of lines, or times (ISO 8601; UTC unless they say otherwise); both are included.
    `context` means nothing without `search`.
    """

    cursor: str | None = None
    tail: int | None = None
    limit: int = USUAL_LINES
    step: StepName | None = None
    wait_s: float = 0.0
    start: int | str | None = None
    end: int | str | None = None
    search: str | None = None
    context: int = 0

    @property
    def chooses(self) -> bool:
        """Whether lines are looked for, instead of read one after the other."""
        return self.search is not None or self.start is not None or self.end is not None

    @property
    def lines(self) -> int:
        """How many lines are wanted at most."""
        return min(self.limit if self.tail is None else self.tail, MOST_LINES)

    @property
    def text_bytes(self) -> int:
        """How long their texts may be together."""
        return TEXT_BYTES if self.lines <= USUAL_LINES else LONG_TEXT_BYTES


async def get_build_log(factory: Factory, caller: Caller, build_id: str, query: LogQuery) -> LogView:
    """Return a part of the log: behind `cursor`, the last `tail` lines, what is looked for, or from the beginning.

    `truncated` says that more lines are there already, that fewer than `tail` fit, or that some were clipped.
    With `wait_s` an empty answer comes only after that many seconds, or at once if the build rests or lines are
    looked for.

    Raises:
        Verdict: `build.not_found`, `log.bad_cursor`, `log.bad_range`, or `argument.conflict` for `tail` with anything
            that chooses lines.

    """
    require(caller, "get_build_log")
    if query.tail is not None and (query.cursor is not None or query.step is not None or query.chooses):
        raise Verdict.because(
            "argument.conflict",
            "tail cannot be combined with cursor, step, start, end or search.",
            path="tail",
            next="Give tail alone for the last lines; then go on with the next_cursor it returns.",
        )
    wish = _wish(query)
    build_id = await build_id_of(factory, caller, build_id)
    state = await visible_build(factory, caller, build_id)
    rests = state is not None and state.status in RESTING
    if query.chooses:
        return await _found(factory, build_id, query, wish, rests=rests)
    if query.tail is not None:
        page = await factory.logs.tail(build_id, query.lines)
        return _tail_view(build_id, page, query.text_bytes, rests=rests)
    page = await factory.logs.read(
        build_id,
        query.cursor,
        limit_bytes=query.text_bytes,
        limit_records=query.lines,
        wait_s=0.0 if rests else query.wait_s,
        steps=wish.steps,
    )
    rest = await factory.logs.read(build_id, page.cursor, limit_records=1, steps=wish.steps) if page.records else None
    more = rest is not None and bool(rest.records)
    clipped = any(len(record.text) > LINE_CHARACTERS for record in page.records)
    return LogView(
        build_id=build_id,
        lines=tuple(_line(record, number) for record, number in _numbered(page) if record.kind == "line"),
        next_cursor=page.cursor,
        end=rests and not more,
        truncated=more or clipped,
    )


async def _found(factory: Factory, build_id: str, query: LogQuery, wish: LogWish, *, rests: bool) -> LogView:
    page = await factory.logs.find(build_id, wish, query.cursor, limit_bytes=query.text_bytes, limit_lines=query.lines)
    return LogView(
        build_id=build_id,
        lines=tuple(
            _line(line.record, line.number, match=line.match if query.search is not None else None)
            for line in page.lines
        ),
        next_cursor=page.cursor,
        end=rests and not page.more,
        truncated=page.more or any(len(line.record.text) > LINE_CHARACTERS for line in page.lines),
    )


def _wish(query: LogQuery) -> LogWish:
    first, since = _bound("start", query.start)
    last, until = _bound("end", query.end)
    if _is_above(first, last) or _is_above(since, until):
        raise Verdict.because(
            "log.bad_range",
            "start is behind end, so no line can be between them.",
            path="start",
            value=str(query.start)[:64],
            next="Give the earlier one as start; both are included.",
        )
    return LogWish(
        first_line=first,
        last_line=last,
        since=since,
        until=until,
        text=query.search,
        context=query.context,
        steps=None if query.step is None else (query.step,),
    )


def _is_above(start: int | None, end: int | None) -> bool:
    return start is not None and end is not None and start > end


def _bound(name: str, given: int | str | None) -> tuple[int | None, int | None]:
    """Read the number of a line, or a time as milliseconds since the epoch."""
    if given is None:
        return None, None
    text = str(given).strip()
    if text.isdecimal() and len(text) < _LONGEST_NUMBER:
        return int(text), None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Verdict.because(
            "log.bad_range",
            f"{name} is neither the number of a line nor a time.",
            path=name,
            value=text[:64],
            next="Give a number from 1, or a time such as 2030-01-31T12:00:00Z.",
        ) from None
    return None, round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _tail_view(build_id: str, page: LogPage, text_bytes: int, *, rests: bool) -> LogView:
    """Keep the newest lines that fit."""
    kept: list[LogLine] = []
    left = text_bytes
    clipped = False
    for record, number in reversed(_numbered(page)):
        line = _line(record, number)
        left -= len(line.text.encode())
        if left < 0 and kept:
            break
        clipped = clipped or len(record.text) > LINE_CHARACTERS
        kept.append(line)
    return LogView(
        build_id=build_id,
        lines=tuple(reversed(kept)),
        next_cursor=page.cursor,
        end=rests,
        truncated=clipped or len(kept) < len(page.records),
    )


def _numbered(page: LogPage) -> list[tuple[LogRecord, int | None]]:
    return list(zip(page.records, page.numbers or [None] * len(page.records), strict=True))


def _line(record: LogRecord, number: int | None, *, match: bool | None = None) -> LogLine:
    text = clean_untrusted(record.text, LINE_CHARACTERS)
    at = datetime.fromtimestamp(record.at / 1000, UTC)
    return LogLine(line=number, at=at, step=record.step, text=text, match=match)
