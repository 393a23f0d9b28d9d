"""What the Temporal UI shows of a build: search attributes, and a page of details in markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail
    from domain.build.progress import StepDuration, estimate, usual_seconds
    from domain.build.state import RESTING
    from domain.build.steps import STEPS, StepName
    from domain.job import JobView
    from domain.jobs import workflow_id
    from domain.text import in_markdown

_LONGEST, _LONGEST_CELL = 1000, 200
_MARKS: Final[Mapping[str, str]] = {"running": "▶", "done": "✔", "kept": "✔", "failed": "✘", "waiting": "·"}


@dataclass
class Board:
    """Keeps the page of one build up to date."""

    name: str
    build_id: str
    _marks: dict[StepName, tuple[str, str]] = field(default_factory=dict[StepName, tuple[str, str]])
    _tail: tuple[str, ...] = ()
    _state: str = "pending"
    _usual: dict[StepName, float] = field(default_factory=dict[StepName, float])
    _moved_at: datetime | None = None
    _in_queue: bool = False
    _starts_at: datetime | None = None

    def state(self, state: str) -> None:
        """Set `JobState`, by which builds are found."""
        self._state = state
        update = policies.JOB_STATE.value_set(state)
        workflow.upsert_search_attributes([update])  # pyright: ignore[reportUnknownMemberType] - generic in the SDK

    def expect(self, durations: Sequence[StepDuration]) -> None:
        """Take how long such builds take."""
        self._usual = usual_seconds(durations)
        self._show()

    def queued(self, position: int, starts_at: datetime | None, reason: str) -> None:
        """Show the place in the queue."""
        self._in_queue, self._starts_at = True, starts_at
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
        self._in_queue = False
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
        self._moved_at = workflow.now()
        self._show()

    def _show(self) -> None:
        # The failure or the end first: that is what an engineer opens the page for.
        lines = [f"## Build {self.name}", "", self._progress(), *self._tail, "", "| | step | |", "|---|---|---|"]
        for step in STEPS:
            mark, text = self._marks.get(step, ("waiting", ""))
            lines.append(f"| {_MARKS[mark]} | {step} | {in_markdown(text, _LONGEST_CELL)} |")
        workflow.set_current_details("\n".join(lines))

    def _progress(self) -> str:
        """Say it as every other view does: measured when the step at work began, as a workflow sees nothing between."""
        rests = self._state in RESTING
        shares: dict[StepName, float] = {
            step: 1.0 for step, (mark, _) in self._marks.items() if mark in {"done", "kept"}
        }
        found = estimate(shares, self._usual)
        moved_at = self._moved_at or workflow.now()
        begins = None if rests else self._starts_at if self._in_queue else moved_at
        job = JobView(
            job_id=workflow_id("build", self.build_id),
            kind="build",
            name=self.name,
            state=self._state,
            step=next((step for step, (mark, _) in self._marks.items() if mark in {"running", "failed"}), None),
            percent=100.0 if self._state == "completed" else found.percent,
            expected_end=None
            if rests or found.left is None or begins is None
            else begins + timedelta(seconds=found.left),
        )
        return f"**{job.words}**" + ("" if rests else f" — as of {moved_at:%H:%M:%S} UTC")
