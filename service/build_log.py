"""Reading a build's log, in parts that an assistant can take in."""

from datetime import UTC, datetime

from domain.build.steps import StepName
from domain.caller import Caller
from domain.errors import Verdict
from domain.model import Value
from domain.text import clean_untrusted
from domain.views import LogLine, LogView
from infra.ports import LogPage, LogRecord
from service.factory import Factory
from service.lookup import visible_build
from service.permissions import require
from service.progress import SETTLED

MOST_LINES = 150
LINE_CHARACTERS = 1_000
# Lines are told twice, as text and as JSON with some 80 bytes around each: together below 24 kB.
TEXT_BYTES = 6_000


class LogQuery(Value):
    """Which part of a log is wanted. `wait_s` is in seconds."""

    cursor: str | None = None
    tail: int | None = None
    limit: int = 100
    step: StepName | None = None
    wait_s: float = 0.0


async def get_build_log(factory: Factory, caller: Caller, build_id: str, query: LogQuery) -> LogView:
    """Return a part of the log: behind `cursor`, or the last `tail` lines, or from the beginning.

    `truncated` says that more lines are there already, that fewer than `tail` fit, or that some were clipped.
    With `wait_s` an empty answer comes only after that many seconds, or at once if the build rests.

    Raises:
        Verdict: `build.not_found`, `log.bad_cursor`, or `argument.conflict` for `tail` with `cursor` or `step`.

    """
    require(caller, "get_build_log")
    if query.tail is not None and (query.cursor is not None or query.step is not None):
        raise Verdict.because(
            "argument.conflict",
            "tail cannot be combined with cursor or step.",
            path="tail",
            next="Give tail alone for the last lines; then go on with the next_cursor it returns.",
        )
    state = await visible_build(factory, caller, build_id)
    rests = state is not None and state.status in SETTLED
    if query.tail is not None:
        page = await factory.logs.tail(build_id, min(query.tail, MOST_LINES))
        return _tail_view(build_id, page, rests=rests)
    page = await factory.logs.read(
        build_id,
        query.cursor,
        limit_bytes=TEXT_BYTES,
        limit_records=min(query.limit, MOST_LINES),
        wait_s=0.0 if rests else query.wait_s,
        steps=None if query.step is None else (query.step,),
    )
    more = bool(page.records) and bool((await factory.logs.read(build_id, page.cursor, limit_records=1)).records)
    clipped = any(len(record.text) > LINE_CHARACTERS for record in page.records)
    return LogView(
        build_id=build_id,
        lines=tuple(_line(record) for record in page.records if record.kind == "line"),
        next_cursor=page.cursor,
        end=rests and not more,
        truncated=more or clipped,
    )


def _tail_view(build_id: str, page: LogPage, *, rests: bool) -> LogView:
    """Keep the newest lines that fit."""
    kept: list[LogLine] = []
    left = TEXT_BYTES
    clipped = False
    for record in reversed(page.records):
        line = _line(record)
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


def _line(record: LogRecord) -> LogLine:
    text = clean_untrusted(record.text, LINE_CHARACTERS)
    return LogLine(at=datetime.fromtimestamp(record.at / 1000, UTC), step=record.step, text=text)
