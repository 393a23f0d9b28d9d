"""Rebuild schedules in memory: the log, the read model and the timetable in one."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from domain.errors import Verdict
from domain.rebuild.commands import AnyRebuildCommand, ChangeSchedule, CreateSchedule, DeleteSchedule
from domain.rebuild.decide import decide
from domain.rebuild.events import RebuildEvent
from domain.rebuild.inputs import ScheduleRequest, Timing
from domain.rebuild.state import ScheduleState, fold
from event_store.models.rebuilds import ScheduleStatePage
from tests.fakes.pages import place_of

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def kept_schedule(schedule_id: str, org_id: str = "local") -> ScheduleRequest:
    """Ask for a schedule of a small recipe, once a day."""
    return ScheduleRequest(
        schedule_id=schedule_id,
        org_id=org_id,
        requested_by="operator",
        plan="operator",
        recipe={"name": "demo", "baseImage": "debian-bookworm"},
        timing=Timing(every=86_400),
    )


class FakeRebuilds:
    """Decides as the log does; every command is visible at once."""

    def __init__(self, states: dict[str, ScheduleState]) -> None:
        self._states = states
        self._streams: dict[str, list[RebuildEvent]] = defaultdict(list)
        self.looked: list[str] = []

    def do(self, schedule_id: str, command: AnyRebuildCommand) -> int:
        """Decide and append."""
        stream = self._streams[schedule_id]
        stream.extend(decide(fold(tuple(stream)), command, now=AT))
        state = fold(tuple(stream))
        assert state is not None
        self._states[schedule_id] = state
        return state.version

    async def create(self, command: CreateSchedule) -> int:
        return self.do(command.request.schedule_id, command)

    async def change(self, state: ScheduleState, command: ChangeSchedule) -> int:
        return self.do(state.schedule_id, command)

    async def delete(self, state: ScheduleState, command: DeleteSchedule) -> int:
        return self.do(state.schedule_id, command)

    async def look_now(self, schedule_id: str) -> None:
        if schedule_id not in self._states:
            raise Verdict.because("rebuild.not_found", "not in the timetable")
        self.looked.append(schedule_id)

    async def next_look(self, schedule_id: str) -> datetime | None:
        state = self._states[schedule_id]
        return None if state.paused or state.deleted else AT + timedelta(seconds=state.timing.every)


class FakeRebuildReads:
    """The schedules of one organization."""

    def __init__(self, states: dict[str, ScheduleState], org_id: str) -> None:
        self._mine = [state for state in states.values() if state.org_id == org_id]

    async def get(self, schedule_id: str) -> ScheduleState | None:
        return next((state for state in self._mine if state.schedule_id == schedule_id), None)

    async def count(self) -> int:
        return sum(not state.deleted for state in self._mine)

    async def page(self, *, limit: int, cursor: str | None = None) -> ScheduleStatePage:
        there = [state for state in reversed(self._mine) if not state.deleted]
        start = place_of(cursor)
        more = str(start + limit) if len(there) > start + limit else None
        return ScheduleStatePage(schedules=tuple(there[start : start + limit]), next_cursor=more)
