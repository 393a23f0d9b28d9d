"""The live picture of a running build, and the same as plain lines."""

from datetime import UTC, datetime, timedelta

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.client.words import STATUS_STYLE, duration, place_text, plain, step_title
from domain.build.state import StepState
from domain.build.steps import STEPS
from domain.views import BuildView

_MARKS = {"running": "▶", "completed": "✓", "failed": "✗", "cancelled": "-"}
_PLAIN_PROGRESS_STEP = 10.0  # percent between two progress lines of the plain form


def _now() -> datetime:
    return datetime.now(UTC)


class LiveBoard:
    """Draws the newest view each time the terminal is refreshed, so that the clocks run between two answers."""

    def __init__(self) -> None:
        self.view: BuildView | None = None
        self.notice: str | None = None
        self._seen_at = _now()

    def show(self, view: BuildView) -> None:
        """Take a newer view."""
        self.view = view
        self._seen_at = _now()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw head, steps, bar and the current line."""
        if self.view is None:
            yield Text(self.notice or "waiting for the factory …", style="dim")
            return
        yield Group(_head(self.view), self._steps(self.view), *self._foot(self.view))

    def _steps(self, view: BuildView) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        known = {s.step: s for s in view.steps}
        for name in STEPS:
            table.add_row(*_row(name, known.get(name), self._factory_now(view)))
        return table

    def _factory_now(self, view: BuildView) -> datetime:
        """The factory's clock, which started the steps; ours may differ."""
        since = _now() - self._seen_at
        if view.created_at is None or view.progress is None:
            return _now()
        return view.created_at + timedelta(seconds=view.progress.elapsed_seconds) + since

    def _foot(self, view: BuildView) -> list[Table | Text]:
        lines: list[Table | Text] = []
        if view.progress is not None:
            since = (_now() - self._seen_at).total_seconds()
            elapsed = view.progress.elapsed_seconds + since
            bar = Table.grid(padding=(0, 1, 0, 0))
            times = duration(elapsed) + _left(view.progress.expected_seconds, since)
            bar.add_row(
                ProgressBar(total=100, completed=view.progress.percent, width=32),
                Text(f"{view.progress.percent:3.0f} %"),
                Text(times, style="dim"),
            )
            lines.append(bar)
            if view.progress.text:
                line = plain(view.progress.text, "dim")
                line.truncate(100, overflow="ellipsis")
                lines.append(line)
        if self.notice:
            lines.append(Text(self.notice, style="yellow"))
        return lines


def _left(expected: float | None, since: float) -> str:
    return "" if expected is None else f", about {duration(max(expected - since, 0.0))} left"


def _head(view: BuildView) -> Text:
    text = Text("Build ", style="bold")
    return (
        text.append_text(plain(view.name, "bold"))
        .append(f"  {view.build_id}  ", style="dim")
        .append(view.status, style=STATUS_STYLE[view.status])
    )


def _row(name: str, state: StepState | None, now: datetime) -> tuple[Text, Text, Text, Text]:
    if state is None:
        return Text("·", style="dim"), Text(step_title(name), style="dim"), Text(""), Text("")
    style = STATUS_STYLE[state.status]
    seconds = state.seconds
    if state.status == "running":
        seconds = max((now - state.started_at).total_seconds(), 0.0)
    note = plain("cached" if state.cached and not state.summary else state.summary, "dim")
    note.truncate(80, overflow="ellipsis")
    return Text(_MARKS[state.status], style=style), Text(step_title(name)), Text(duration(seconds)), note


class PlainLines:
    """Says what changed since the last view, one line each; for logs, pipes and `--json`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, StepState] = {}
        self._said: tuple[str | None, float] = (None, 0.0)
        self._notice: str | None = None
        self._named = False
        self._place: str | None = None

    def show(self, view: BuildView) -> None:
        """Print what is new in `view`."""
        if not self._named:
            self._named = True
            self._say(f"build {view.build_id} ({view.name}): {view.status}")
        if view.queue is not None and (waits := place_text(view.queue)) != self._place:
            self._place = waits
            self._say(f"waiting: {waits}: {view.queue.reason}")
        for step in view.steps:
            if self._steps.get(step.step) != step:
                self._step(step)
        self._steps = {s.step: s for s in view.steps}
        self._progress(view)

    def note(self, text: str | None) -> None:
        """Print a remark once, until it changes."""
        if text and text != self._notice:
            self._say(text)
        self._notice = text

    def _step(self, step: StepState) -> None:
        if step.status == "running":
            self._say(f"{step_title(step.step)}: started")
            return
        if step.status == "completed" and (before := self._steps.get(step.step)) and before.status == "completed":
            return
        took = f" in {duration(step.seconds)}" if step.seconds is not None else ""
        cached = ", cached" if step.cached else ""
        summary = f": {step.summary}" if step.summary else ""
        self._say(f"{step_title(step.step)}: {step.status}{took}{cached}{summary}")

    def _progress(self, view: BuildView) -> None:
        progress = view.progress
        if progress is None or progress.step is None:
            return
        step, percent = self._said
        if step == progress.step and progress.percent < percent + _PLAIN_PROGRESS_STEP:
            return
        if step is None and progress.percent <= 0:
            return
        self._said = (progress.step, progress.percent)
        times = duration(progress.elapsed_seconds) + _left(progress.expected_seconds, 0.0)
        text = f": {progress.text}" if progress.text else ""
        self._say(f"{progress.percent:.0f} % after {times}, {step_title(progress.step)}{text}")

    def _say(self, text: str) -> None:
        self._console.print(plain(text), soft_wrap=True, highlight=False)
