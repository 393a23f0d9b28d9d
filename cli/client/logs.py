"""A build's log, printed and followed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from rich.text import Text

from cli.client import exits
from cli.client.failures import Unreachable
from cli.client.output import Output
from cli.client.tools import Tools
from cli.client.words import plain
from domain.views import LogLine, LogView

_ALL: Final[Mapping[str, Any]] = MappingProxyType({})
MOST_LINES: Final = 150  # the most that one answer holds
_WAIT_SECONDS: Final = 10
_PAUSE: Final = 0.5
_PATIENCE: Final = 60  # tries while the factory is away, one a second


async def show_log(  # noqa: PLR0913 - the command's options
    session: Tools,
    output: Output,
    given: str,
    *,
    tail: int | None,
    follow: bool,
    chosen: Mapping[str, Any] = _ALL,
    numbers: bool = False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Print a build's log; with `follow` until no more will come. JSON is one line of the log per line.

    `chosen` are the tool's arguments for what is looked for (`search`, `start`, …).
    """
    asked = {"limit": MOST_LINES, **chosen}
    arguments: dict[str, Any] = {"build_id": given, "tail": tail, **asked}
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
        _print(view, output, numbers=numbers or bool(chosen))
        more = not view.end if follow else view.truncated and tail is None
        if not more:
            return exits.OK
        if not view.lines:
            await pause(_PAUSE)
        wait = _WAIT_SECONDS if follow else None
        arguments = {"build_id": view.build_id, **asked, "cursor": view.next_cursor, "wait_s": wait}


def _print(view: LogView, output: Output, *, numbers: bool) -> None:
    for line in view.lines:
        if output.as_json:
            output.json(line.model_dump(mode="json"))
        else:
            output.out.print(_line(line, numbers=numbers), soft_wrap=True)


def _line(line: LogLine, *, numbers: bool) -> Text:
    number = f"{line.line if line.line is not None else '?':>6} " if numbers else ""
    text = Text(f"{number}{line.at.astimezone():%H:%M:%S} ", style="dim")
    return text.append_text(plain(f"{line.step:<20} ", "cyan")).append_text(
        plain(line.text, "bold" if line.match else "")
    )
