"""A build's log, printed and followed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rich.text import Text

from cli.client import exits
from cli.client.build_ids import resolve_build
from cli.client.failures import Unreachable
from cli.client.output import Output
from cli.client.tools import Tools
from cli.client.words import plain
from domain.views import LogLine, LogView

_WAIT_SECONDS: Final = 10
_PAUSE: Final = 0.5
_PATIENCE: Final = 60  # tries while the factory is away, one a second


async def show_log(
    session: Tools,
    output: Output,
    given: str,
    *,
    tail: int | None,
    follow: bool,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Print a build's log; with `follow` until no more will come. JSON is one line of the log per line."""
    build_id = await resolve_build(session, given)
    arguments: dict[str, Any] = {"build_id": build_id, "tail": tail}
    away = 0
    while True:
        try:
            answer = await session.call("get_build_log", arguments)
        except Unreachable:
            away += 1
            if not follow or away > _PATIENCE:
                raise
            await pause(1.0)
            continue
        away = 0
        view = LogView.model_validate(answer, extra="ignore")
        _print(view, output)
        more = not view.end if follow else view.truncated and tail is None
        if not more:
            return exits.OK
        if not view.lines:
            await pause(_PAUSE)
        arguments = {"build_id": build_id, "cursor": view.next_cursor, "wait_s": _WAIT_SECONDS if follow else None}


def _print(view: LogView, output: Output) -> None:
    for line in view.lines:
        if output.as_json:
            output.json(line.model_dump(mode="json"))
        else:
            output.out.print(_line(line), soft_wrap=True)


def _line(line: LogLine) -> Text:
    text = Text(f"{line.at.astimezone():%H:%M:%S} ", style="dim")
    return text.append_text(plain(f"{line.step:<20} ", "cyan")).append_text(plain(line.text))
