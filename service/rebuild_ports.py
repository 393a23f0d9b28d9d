"""What the service of rebuild schedules needs of the rest of the factory, as protocols."""

from datetime import datetime
from typing import Protocol

from domain.rebuild.commands import ChangeSchedule, CreateSchedule, DeleteSchedule
from domain.rebuild.state import ScheduleState
from event_store.models.rebuilds import ScheduleStatePage


class RebuildReads(Protocol):
    """The rebuild schedules of one organization."""

    async def get(self, schedule_id: str) -> ScheduleState | None:
        """Return a schedule, or nothing if it is absent or another organization's."""
        ...

    async def count(self) -> int:
        """Count those that are not deleted."""
        ...

    async def page(self, *, limit: int, cursor: str | None = None) -> ScheduleStatePage:
        """List those that are not deleted, newest first."""
        ...


class Rebuilds(Protocol):
    """The workflows and the timetable of schedules. Every method raises `Fault` when the engine does not answer."""

    async def create(self, command: CreateSchedule) -> int:
        """Record a new schedule and answer its version; repeating it is harmless."""
        ...

    async def change(self, state: ScheduleState, command: ChangeSchedule) -> int:
        """Change a schedule and answer its version; a repeated command id is harmless."""
        ...

    async def delete(self, state: ScheduleState, command: DeleteSchedule) -> int:
        """Delete a schedule and answer its version; harmless to repeat."""
        ...

    async def look_now(self, schedule_id: str) -> None:
        """Have a schedule look at once."""
        ...

    async def next_look(self, schedule_id: str) -> datetime | None:
        """Tell when a schedule looks next; nothing for one that does not."""
        ...
