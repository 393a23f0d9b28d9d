"""What the tools answer about schedules."""

from datetime import datetime

from domain.model import Value
from domain.rebuild.inputs import Look


class ScheduleView(Value):
    """One schedule. `next_run` is unknown while it is paused; `last` says what the latest look found."""

    schedule_id: str
    name: str
    base_image: str
    recipe_digest: str
    every_hours: float
    jitter_minutes: float
    paused: bool
    version: int
    visible: bool = True
    replayed: bool = False
    deleted: bool = False
    created_at: datetime | None = None
    last_run: datetime | None = None
    last: Look | None = None
    last_build: str | None = None
    next_run: datetime | None = None
    next: str | None = None


class SchedulePage(Value):
    """Some of the organization's schedules, newest first, and the cursor of the next page."""

    schedules: tuple[ScheduleView, ...]
    next_cursor: str | None = None
