"""The activities of scheduled rebuilds on core workers: what is known, and the workflow engine's own schedule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from temporalio import activity

from activities.keeping.models import (
    APPLY_SCHEDULE,
    FIND_FACTS,
    MEND_TIMETABLE,
    Applied,
    ApplySchedule,
    Entry,
    FactsFound,
    FindFacts,
    Mended,
)
from activities.keeping.ports import RebuildPast, Timetable
from domain.errors import FactoryError
from domain.rebuild.state import ScheduleState


@dataclass(frozen=True)
class RebuildActivities:
    """Reads the past, and keeps the timetable as the log says. All may be repeated."""

    past: RebuildPast
    timetable: Timetable

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity, for a worker."""
        return [self.find_facts, self.apply_schedule, self.mend_timetable]

    @activity.defn(name=FIND_FACTS)
    async def find_facts(self, request: FindFacts) -> FactsFound:
        """Tell what is known for a schedule."""
        return FactsFound(facts=await self.past.facts(request.schedule_id))

    @activity.defn(name=APPLY_SCHEDULE)
    async def apply_schedule(self, request: ApplySchedule) -> Applied:
        """Make, change or remove the timetable's entry."""
        await self._settle(request.schedule_id)
        return Applied()

    @activity.defn(name=MEND_TIMETABLE)
    async def mend_timetable(self) -> Mended:
        """Compare what is recorded with the timetable, and have it agree: an apply may not have come to its end.

        Both lists may lag behind. That does no harm: what differs is settled by the log.
        """
        recorded = await self.past.times()
        shown = await self.timetable.shown()
        mended: list[str] = []
        left: list[str] = []
        for schedule_id in [name for name, times in recorded.items() if times != shown.get(name)]:
            try:
                await self._settle(schedule_id)
            except FactoryError as error:  # it does not keep the others
                left.append(f"{schedule_id}: {error.problems[0].message}")
            else:
                mended.append(schedule_id)
        return Mended(schedules=tuple(mended), left=tuple(left))

    async def _settle(self, schedule_id: str) -> None:
        """Have the entry agree with the log, and look again: whoever wrote last has then seen the latest change."""
        state = await self.past.recorded(schedule_id)
        while state is not None:
            if state.deleted:
                await self.timetable.remove(schedule_id)
            else:
                await self.timetable.put(_entry(state))
            written, state = state, await self.past.recorded(schedule_id)
            if state is None or _same(written, state):
                return


def _entry(state: ScheduleState) -> Entry:
    return Entry(
        schedule_id=state.schedule_id, org_id=state.org_id, name=state.name, timing=state.timing, paused=state.paused
    )


def _same(one: ScheduleState, other: ScheduleState) -> bool:
    return (one.deleted, one.paused, one.timing) == (other.deleted, other.paused, other.timing)
