"""The activities of scheduled rebuilds on core workers: what is known, and the workflow engine's own schedule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from temporalio import activity

from activities.keeping.models import APPLY_SCHEDULE, FIND_FACTS, Applied, ApplySchedule, FactsFound, FindFacts
from activities.keeping.ports import RebuildPast, Timetable


@dataclass(frozen=True)
class RebuildActivities:
    """Reads the past, and keeps the timetable as the log says. Both may be repeated."""

    past: RebuildPast
    timetable: Timetable

    def all(self) -> list[Callable[..., Any]]:
        """Return every activity, for a worker."""
        return [self.find_facts, self.apply_schedule]

    @activity.defn(name=FIND_FACTS)
    async def find_facts(self, request: FindFacts) -> FactsFound:
        """Tell what is known for a schedule."""
        return FactsFound(facts=await self.past.facts(request.schedule_id))

    @activity.defn(name=APPLY_SCHEDULE)
    async def apply_schedule(self, request: ApplySchedule) -> Applied:
        """Make, change or remove the timetable's entry."""
        if request.timing is None:
            await self.timetable.remove(request.schedule_id)
        else:
            await self.timetable.put(request)
        return Applied()
