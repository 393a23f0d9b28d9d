"""What the Temporal UI shows of a build: search attributes, and a page of details in markdown."""

from dataclasses import dataclass, field
from datetime import datetime

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail
    from domain.build.steps import STEPS, StepName
    from domain.text import in_markdown

_LONGEST, _LONGEST_CELL = 1000, 200
_MARKS = {"running": "▶", "done": "✔", "kept": "✔", "failed": "✘", "waiting": "·"}


@dataclass
class Board:
    """Keeps the page of one build up to date."""

    name: str
    build_id: str
    _marks: dict[StepName, tuple[str, str]] = field(default_factory=dict[StepName, tuple[str, str]])
    _tail: tuple[str, ...] = ()

    def state(self, state: str) -> None:
        """Set `JobState`, by which builds are found."""
        update = policies.JOB_STATE.value_set(state)
        workflow.upsert_search_attributes([update])  # pyright: ignore[reportUnknownMemberType] - generic in the SDK

    def queued(self, position: int, starts_at: datetime | None, reason: str) -> None:
        """Show the place in the queue."""
        start = f", expected start {starts_at:%Y-%m-%d %H:%M} UTC" if starts_at else ""
        self._tail = (
            "",
            f"**Waiting: place {position} in the queue{start}**",
            "",
            f"{reason[:1].upper()}{reason[1:]}.",
        )
        self._show()

    def started(self) -> None:
        """Show that the wait is over."""
        self._tail = ()
        self._show()

    def running(self, step: StepName) -> None:
        """Show a step at work."""
        self._mark(step, "running", "")

    def done(self, step: StepName, text: str, *, kept: bool = False) -> None:
        """Show a finished step; `kept` if an earlier try did it."""
        self._mark(step, "kept" if kept else "done", f"{text} (kept)" if kept else text)

    def failed(self, step: StepName, detail: FailureDetail) -> None:
        """Show why the build is parked, and how to go on."""
        what = "The recipe or image is wrong" if detail.kind == "verdict" else "The factory could not do it"
        reasons = [
            f"- **{p.code}**: {in_markdown(p.message, _LONGEST)}" + (f" _{p.next}_" if p.next else "")
            for p in detail.problems
        ]
        signal = f"temporal workflow signal --workflow-id build-{self.build_id} --name retry"
        self._tail = (
            "",
            f"### Failed in {step}",
            f"{what}:",
            "",
            *reasons,
            "",
            "### How to go on",
            "The build is parked; finished steps are kept. Send the `retry` signal (or `cancel`):",
            f"```\n{signal}\nopenfactory retry {self.build_id}\n```",
        )
        self._mark(step, "failed", detail.problems[0].message)

    def ended(self, text: str) -> None:
        """Show how the build ended."""
        self._tail = ("", f"**{text}**")
        self._show()

    def _mark(self, step: StepName, mark: str, text: str) -> None:
        self._marks[step] = (mark, text)
        self._show()

    def _show(self) -> None:
        # The failure or the end first: that is what an engineer opens the page for.
        lines = [f"## Build {self.name}", *self._tail, "", "| | step | |", "|---|---|---|"]
        for step in STEPS:
            mark, text = self._marks.get(step, ("waiting", ""))
            lines.append(f"| {_MARKS[mark]} | {step} | {in_markdown(text, _LONGEST_CELL)} |")
        workflow.set_current_details("\n".join(lines))
