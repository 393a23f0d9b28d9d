"""One durable job, whatever shows it: tool, resource, task, command line, page or the workflow engine's own."""

from datetime import datetime
from typing import Literal

from domain.build import state as build_state
from domain.model import Value
from domain.test_run import state as run_state
from domain.test_run.views import RunView
from domain.views import BuildView, Progress

JobKind = Literal["build", "test_run"]
_RESTING: frozenset[str] = build_state.RESTING | run_state.RESTING


class JobView(Value):
    """What every view of a job says in the same words. `job_id` is its workflow's id.

    `state` is the build's or run's own status; `step` what is at work; `expected_end` comes from earlier jobs alone.
    """

    job_id: str
    kind: JobKind
    name: str
    state: str
    step: str | None = None
    percent: float | None = None
    expected_end: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def rests(self) -> bool:
        """Whether nothing happens by itself any more."""
        return self.state in _RESTING

    @property
    def words(self) -> str:
        """Say it in one line."""
        parts = [self.state if self.step is None else f"{self.state}, {self.step}"]
        if self.percent is not None and not self.rests:
            parts.append(f"{self.percent:.0f} %")
        if self.expected_end is not None:
            parts.append(f"expected to end at {self.expected_end:%H:%M:%S} UTC")
        return ", ".join(parts)


def job_of(view: BuildView | RunView) -> JobView:
    """Read the job off its view."""
    progress = view.progress
    at_work = None
    if progress is not None:
        at_work = progress.step if isinstance(progress, Progress) else progress.doing
    return JobView(
        job_id=view.workflow_id,
        kind="build" if isinstance(view, BuildView) else "test_run",
        name=view.name,
        state=view.status,
        step=at_work,
        percent=progress.percent if progress is not None else None,
        expected_end=progress.expected_end if progress is not None else None,
        created_at=view.created_at,
        updated_at=view.updated_at,
    )
