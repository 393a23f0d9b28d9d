"""A test run as a person sees it: while it runs, and its report."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.failures import ClientFailure, ToolFailed, Unreachable
from cli.client.tools import Tools
from cli.client.words import duration, plain, problem_text
from domain.test_run.state import RESTING
from domain.test_run.views import CaseView, ResultView, RunView

STYLES: Final[Mapping[str, str]] = {
    "pending": "dim",
    "booting": "cyan",
    "running": "cyan",
    "passed": "green",
    "failed": "red",
    "error": "magenta",
    "skipped": "dim",
    "cancelled": "yellow",
}
_MARKS: Final[Mapping[str, str]] = {"passed": "✓", "failed": "✗", "error": "!", "running": "▶", "skipped": "-"}
_ENDED: Final = frozenset({"passed", "failed", "error", "skipped", "cancelled"})
_WAIT: Final = 10  # seconds a call may wait for news
_PATIENCE: Final = 120.0  # seconds the factory may be away
_PAUSE: Final = 1.0

Pause = Callable[[float], Awaitable[None]]


def parse_run(answer: Mapping[str, Any]) -> RunView:
    """Read a tool's answer; fields of a newer factory are passed over."""
    return RunView.model_validate(answer, extra="ignore")


def exit_code(run: RunView) -> int:
    """Judge a run that has ended: passed, wrong, or not testable for a reason that may pass."""
    return {"passed": exits.OK, "error": exits.TEMPORARY}.get(run.status, exits.FAILED)


async def follow_run(
    session: Tools, run_id: str, console: Console, *, live: bool = True, pause: Pause = asyncio.sleep
) -> dict[str, Any]:
    """Show a run's progress until it has ended, and return its last view.

    On a terminal the picture is live; elsewhere, and without `live`, it is a line for each case. Stopping
    this coroutine does not stop the run.

    Raises:
        ClientFailure: the factory says no, or was away for more than two minutes.

    """
    if not live or not console.is_terminal:
        lines = _Lines(console)
        return await _follow(session, run_id, lines.show, pause)
    with Live(Text("waiting for the factory …", style="dim"), console=console, refresh_per_second=4) as picture:
        return await _follow(session, run_id, lambda run: picture.update(_picture(run)), pause)


def render_run(run: RunView, console: Console) -> None:
    """Print a run: what went wrong first, then all cases, machines and files."""
    console.print(_heading(run), soft_wrap=True)
    for problem in run.problems:
        console.print(problem_text(problem), soft_wrap=True)
    for case in run.cases:
        if case.status in {"failed", "error"}:
            _wrong(case, console)
    console.print()
    console.print(_cases(run))
    if run.machines:
        console.print(_machines(run))
    if run.comparison is not None:
        console.print(plain(f"Against run {run.comparison.previous_run_id}: {run.comparison.summary}"), soft_wrap=True)
    if run.files:
        console.print(plain(f"files: {', '.join(file.name for file in run.files)}"), soft_wrap=True)
        console.print(
            plain(f"  save them: openfactory test-run show {run.run_id} --files FOLDER", "dim"), soft_wrap=True
        )
    if run.held_until is not None:
        console.print(plain(f"Its machines are held until {run.held_until.astimezone():%Y-%m-%d %H:%M}."))
    if run.cut:
        console.print(plain(run.cut, "dim"), soft_wrap=True)


async def _follow(session: Tools, run_id: str, show: Callable[[RunView], None], pause: Pause) -> dict[str, Any]:
    seen, away_since = 0, None
    while True:
        asked = time.monotonic()
        try:
            question = {"run_id": run_id, "wait_s": _WAIT, "since_version": seen, "detail": "full"}
            answer = await session.call("get_test_run", question)
        except (Unreachable, ToolFailed) as failure:
            away_since = asked if away_since is None else away_since
            if not _passes(failure) or asked - away_since > _PATIENCE:
                raise
            await pause(_PAUSE)
            continue
        away_since = None
        run = parse_run(answer)
        seen = max(seen, run.version)
        show(run)
        if run.status in RESTING:
            return answer
        await pause(max(0.0, min(_PAUSE, asked + _PAUSE - time.monotonic())))


def _passes(failure: ClientFailure) -> bool:
    return bool(failure.problems) and all(problem.retryable for problem in failure.problems)


class _Lines:
    """Says each thing once, for a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[str] = set()

    def show(self, run: RunView) -> None:
        for machine in run.machines:
            if machine.ready_seconds is not None:
                self._once(f"machine {machine.slot} answers after {duration(machine.ready_seconds)}")
        for case in run.cases:
            if case.status in _ENDED and case.status != "skipped":
                self._once(f"{case.status} {case.name} {duration(case.seconds)}".rstrip())

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._console.print(plain(text), soft_wrap=True)


def _picture(run: RunView) -> RenderableType:
    foot = Text()
    if run.progress is not None:
        foot.append(f"{run.progress.done} of {run.progress.total}, {duration(run.progress.elapsed_seconds)}", "dim")
        foot.append_text(plain(f"  {run.progress.doing or ''}", "dim"))
    return Group(_heading(run), _cases(run), foot)


def _heading(run: RunView) -> Text:
    text = Text("Test run ", style="bold").append_text(plain(run.name, "bold"))
    text.append(f"  {run.run_id}  ", style="dim").append(run.status, style=STYLES[run.status])
    if run.counts.total:
        text.append(f"  {run.counts.passed} of {run.counts.total} cases passed")
    if run.seconds is not None:
        text.append(f"  {duration(run.seconds)}", style="dim")
    return text


def _wrong(case: CaseView, console: Console) -> None:
    head = Text(f"\n{_MARKS[case.status]} ", style="bold red").append_text(plain(case.name, "bold"))
    console.print(head, soft_wrap=True)
    for problem in case.problems:
        console.print(problem_text(problem), soft_wrap=True)
    for result in case.results:
        if not result.passed:
            console.print(_result(result), soft_wrap=True)


def _result(result: ResultView) -> Text:
    text = Text("    ✗ ", style="red").append_text(plain(f"{result.slot}: {result.description}", "bold"))
    text.append("\n        expected: ").append_text(plain(result.expected))
    text.append("\n        found:    ").append_text(plain(result.found))
    if result.command:
        text.append("\n        asked by: ").append_text(plain(result.command, "dim"))
    return text


def _cases(run: RunView) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for justify in ("left", "left", "left", "right", "right"):
        table.add_column(no_wrap=True, justify="right" if justify == "right" else "left")
    for case in run.cases:
        total = case.passed + case.failed
        table.add_row(
            Text(_MARKS.get(case.status, "·"), style=STYLES[case.status]),
            plain(case.name),
            plain(case.slot, "dim"),
            Text(f"{case.passed}/{total}" if total else "", style="dim"),
            Text(duration(case.seconds), style="dim"),
        )
    return table


def _machines(run: RunView) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("machine", "vm", "image", "answered"):
        table.add_column(name, no_wrap=True)
    for machine in run.machines:
        table.add_row(
            plain(machine.slot), plain(machine.vm_id), plain(machine.image), Text(duration(machine.ready_seconds))
        )
    return table
