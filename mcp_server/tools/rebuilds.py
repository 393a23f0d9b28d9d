"""Tools about rebuild schedules."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from domain.rebuild.views import SchedulePage, ScheduleView
from mcp_server.callers import CallerOf
from mcp_server.face import END, READ, RESUME, START, face
from mcp_server.tools.builds import RequestKey
from mcp_server.tools.tests import Cursor
from service import rebuilds
from service.factory import Factory
from service.rebuilds import LONGEST_HOURS, MOST_SCHEDULES, ScheduleChange, Times

ScheduleId = Annotated[str, Field(description="A schedule's id.")]
Scheduled = Annotated[dict[str, Any] | str, Field(description="A recipe, as for create_build.")]
Hours = Annotated[float, Field(gt=0, le=LONGEST_HOURS, description="How often to look, in hours.")]
Jitter = Annotated[
    float | None,
    Field(ge=0, le=LONGEST_HOURS * 60, description="Look up to so much later, so that schedules spread."),
]


class RebuildTools:
    """Tools about recipes that are built again when their packages have updates."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    @face("Schedule rebuilds", START)
    async def create_rebuild_schedule(
        self,
        ctx: Context[Any, Any],
        recipe: Scheduled,
        every_hours: Hours = 24,
        jitter_minutes: Jitter = None,
        request_key: RequestKey = None,
    ) -> ScheduleView:
        """Look regularly whether a recipe's packages changed since its last completed build; build it only if so."""
        times = Times(every_hours=every_hours, jitter_minutes=jitter_minutes)
        return await rebuilds.create_rebuild_schedule(
            self._factory, self._caller_of(ctx), recipe, times, request_key=request_key
        )

    @face("List rebuild schedules", READ)
    async def list_rebuild_schedules(
        self,
        ctx: Context[Any, Any],
        limit: Annotated[int, Field(ge=1, le=MOST_SCHEDULES, description="At most.")] = 10,
        cursor: Cursor = None,
    ) -> SchedulePage:
        """List rebuild schedules: what the last look found, and when the next one is."""
        return await rebuilds.list_rebuild_schedules(self._factory, self._caller_of(ctx), limit=limit, cursor=cursor)

    @face("Change a rebuild schedule", RESUME)
    async def update_rebuild_schedule(  # noqa: PLR0913 - the tool's arguments, called by name only
        self,
        ctx: Context[Any, Any],
        schedule_id: ScheduleId,
        every_hours: Annotated[float | None, Field(gt=0, le=LONGEST_HOURS, description="A new interval.")] = None,
        jitter_minutes: Jitter = None,
        *,
        paused: Annotated[bool | None, Field(description="Look no more for now, or go on.")] = None,
        run_now: Annotated[bool, Field(description="Look at once.")] = False,
        request_key: RequestKey = None,
    ) -> ScheduleView:
        """Change when a schedule looks, pause or resume it, or have it look at once."""
        change = ScheduleChange(every_hours=every_hours, jitter_minutes=jitter_minutes, paused=paused, run_now=run_now)
        return await rebuilds.update_rebuild_schedule(
            self._factory, self._caller_of(ctx), schedule_id, change, request_key=request_key
        )

    @face("Delete a rebuild schedule", END)
    async def delete_rebuild_schedule(
        self, ctx: Context[Any, Any], schedule_id: ScheduleId, request_key: RequestKey = None
    ) -> ScheduleView:
        """Delete a schedule for good: it looks no more. Builds that it started stay."""
        return await rebuilds.delete_rebuild_schedule(
            self._factory, self._caller_of(ctx), schedule_id, request_key=request_key
        )
