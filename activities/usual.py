"""The activity that tells how long the steps of a recipe's builds usually take."""

import asyncio
from typing import Protocol

from temporalio import activity

from activities.usual_models import FIND_USUAL, FindUsual, UsualFound
from domain.build.progress import StepDuration


class UsualSource(Protocol):
    """Knows how long steps took."""

    def find(self, org_id: str, recipe: str, /) -> tuple[StepDuration, ...]:
        """Tell it of the recipe's completed builds, else of the organization's; blocking."""
        ...


class UsualActivities:
    """Runs on the core worker, for it needs the database."""

    def __init__(self, source: UsualSource) -> None:
        self._source = source

    @activity.defn(name=FIND_USUAL)
    async def find_usual_durations(self, request: FindUsual) -> UsualFound:
        """Find them; `Fault` (`database.unavailable`) when the database does not answer."""
        found = await asyncio.to_thread(self._source.find, request.org_id, request.recipe)
        return UsualFound(durations=found)
