"""A build followed until it rests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live

from cli.client.failures import ClientFailure, ToolFailed, Unreachable
from cli.client.report import render_report
from cli.client.steps_view import LiveBoard, PlainLines
from cli.client.tools import Tools
from domain.build.state import RESTING
from domain.views import BuildView

__all__ = ["follow_build", "parse_view", "render_report"]

_WAIT_LIVE = 2  # seconds a call may wait for news: short on a terminal, where the current line moves
_WAIT_PLAIN = 10
_PATIENCE = 120.0  # seconds the factory may be away (a restart) before following ends with its error
_PAUSE = 1.0

Pause = Callable[[float], Awaitable[None]]


def parse_view(view: Mapping[str, Any]) -> BuildView:
    """Read a tool's answer; fields of a newer factory are passed over."""
    return BuildView.model_validate(view, extra="ignore")


async def follow_build(
    session: Tools,
    build_id: str,
    console: Console,
    *,
    json_mode: bool = False,
    after_version: int = 0,
    pause: Pause = asyncio.sleep,
) -> dict[str, Any]:
    """Show a build's progress until it rests, and return its last view (`domain.views.BuildView`).

    It rests when it is completed, cancelled, or failed (then it is parked and can be retried). Views
    up to `after_version` are old news: a retry passes the version that it saw before.

    On a terminal the picture is live; elsewhere, and with `json_mode`, it is plain lines. With
    `json_mode` pass a console on standard error, so that standard output holds the JSON alone.
    Stopping this coroutine does not stop the build.

    Raises:
        ClientFailure: the factory says no, or was away for more than two minutes.

    """
    follower = _Follower(session, build_id, after_version, pause)
    if json_mode or not console.is_terminal:
        lines = PlainLines(console)
        return await follower.run(_WAIT_PLAIN, lines.show, lines.note)
    board = LiveBoard()

    def note(text: str | None) -> None:
        board.notice = text

    with Live(board, console=console, refresh_per_second=4):
        return await follower.run(_WAIT_LIVE, board.show, note)


class _Follower:
    def __init__(self, session: Tools, build_id: str, after_version: int, pause: Pause) -> None:
        self._session = session
        self._build_id = build_id
        self._after_version = after_version
        self._pause = pause

    async def run(
        self, wait_s: int, show: Callable[[BuildView], None], note: Callable[[str | None], None]
    ) -> dict[str, Any]:
        away_since: float | None = None
        seen = self._after_version
        while True:
            asked = time.monotonic()
            question = {"build_id": self._build_id, "wait_s": wait_s, "since_version": seen}
            try:
                answer = await self._session.call("get_build_status", question)
            except (Unreachable, ToolFailed) as failure:
                away_since = asked if away_since is None else away_since
                if not _passes(failure) or asked - away_since > _PATIENCE:
                    raise
                note(f"The factory does not answer; the build goes on. Trying again ({failure.problems[0].code}).")
                await self._pause(_PAUSE)
                continue
            away_since = None
            note(None)
            view = parse_view(answer)
            seen = max(seen, view.version)
            if view.version > self._after_version:
                show(view)
                if view.status in RESTING:
                    return answer
            # The tool holds its answer back until there is news; this bounds a factory that does not.
            await self._pause(max(0.0, min(_PAUSE, asked + _PAUSE - time.monotonic())))


def _passes(failure: ClientFailure) -> bool:
    """Whether the failure is likely to be over soon."""
    return bool(failure.problems) and all(p.retryable for p in failure.problems)
