"""What scheduled rebuilds need to know of the past: for the owner's role, which the core worker has."""

import asyncio
from collections.abc import Mapping
from typing import cast
from uuid import UUID

import psycopg
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from domain.build.events import BuildEvent
from domain.build.state import BuildState
from domain.build.state import fold as fold_build
from domain.errors import Fault
from domain.rebuild.events import RebuildEvent
from domain.rebuild.facts import RebuildFacts, Times, facts_of
from domain.rebuild.inputs import Timing
from domain.rebuild.state import ScheduleState, fold
from event_store.connections import connect
from event_store.log import EventLog

_SCHEDULE = "SELECT state::text AS state FROM read_model.rebuilds WHERE schedule_id = %s"
_TIMES = """
SELECT schedule_id, deleted, state->'timing' AS timing, coalesce((state->>'paused')::boolean, false) AS paused
FROM read_model.rebuilds
"""
_OPEN = """
SELECT build_id FROM read_model.builds
WHERE org_id = %s AND state->>'recipe_digest' = %s AND status IN ('pending', 'building', 'testing')
ORDER BY created_at DESC LIMIT 1
"""
# A rerun has the packages of an older build on purpose, so it counts only if there is no other.
_COMPLETED = """
SELECT state::text AS state FROM read_model.builds
WHERE org_id = %s AND name = %s AND status = 'completed' AND state->>'recipe_digest' = %s
    AND (state->>'rerun_of' IS NULL) = %s
ORDER BY created_at DESC, build_id DESC LIMIT 1
"""
_SECONDS = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds FROM (
    SELECT seconds FROM read_model.builds WHERE org_id = %s AND name = %s AND status = 'completed'
    ORDER BY created_at DESC LIMIT 20
) AS recent
"""


class RebuildReads:
    """Reads them, with a connection for each question; the log tells what the read model may not show yet."""

    def __init__(self, owner_url: str, log: EventLog) -> None:
        self._url = owner_url
        self._log = log

    async def times(self) -> Mapping[str, Times | None]:
        """Tell when which schedule looks, of all organizations and as the read model has it; deleted ones never do.

        Raises:
            Fault: `database.unavailable`.

        """
        try:
            async with (
                await connect(self._url, "keeper") as connection,
                connection.cursor(row_factory=dict_row) as rows,
            ):
                await rows.execute(_TIMES)
                found = await rows.fetchall()
        except psycopg.OperationalError as error:
            raise Fault.because("database.unavailable", f"the database does not answer: {error}") from error
        return {
            row["schedule_id"]: None
            if row["deleted"]
            else Times(timing=Timing.model_validate(row["timing"]), paused=row["paused"])
            for row in found
        }

    async def recorded(self, schedule_id: str) -> ScheduleState | None:
        """Tell what the log itself holds of a schedule at this moment.

        Raises:
            Fault: `log.unavailable`.

        """
        events = await asyncio.to_thread(self._log.read, UUID(schedule_id))
        return fold(tuple(cast("RebuildEvent", recorded.event) for recorded in events))

    async def facts(self, schedule_id: str) -> RebuildFacts | None:
        """Tell what is known for a schedule; nothing if there is none, or it was deleted.

        Raises:
            Fault: `database.unavailable` or `log.unavailable`.

        """
        try:
            async with (
                await connect(self._url, "keeper") as connection,
                connection.cursor(row_factory=dict_row) as rows,
            ):
                await rows.execute(_SCHEDULE, (schedule_id,))
                found = await rows.fetchone()
                schedule = None if found is None else ScheduleState.model_validate_json(found["state"])
                if schedule is None or schedule.deleted:
                    return None
                await rows.execute(_OPEN, (schedule.org_id, schedule.recipe_digest))
                under_way = await rows.fetchone()
                completed = await _completed(rows, schedule)
                await rows.execute(_SECONDS, (schedule.org_id, schedule.name))
                usual = await rows.fetchone()
        except psycopg.OperationalError as error:
            raise Fault.because("database.unavailable", f"the database does not answer: {error}") from error
        return facts_of(
            schedule,
            building=None if under_way is None else str(under_way["build_id"]),
            last=completed,
            started=await self._build(schedule.last_build),
            seconds=None if usual is None else usual["seconds"],
        )

    async def _build(self, build_id: str | None) -> BuildState | None:
        if build_id is None:
            return None
        events = await asyncio.to_thread(self._log.read, UUID(build_id))
        return fold_build(tuple(cast("BuildEvent", recorded.event) for recorded in events))


async def _completed(rows: AsyncCursor[DictRow], schedule: ScheduleState) -> BuildState | None:
    for todays in (True, False):
        await rows.execute(_COMPLETED, (schedule.org_id, schedule.name, schedule.recipe_digest, todays))
        found = await rows.fetchone()
        if found is not None:
            return BuildState.model_validate_json(found["state"])
    return None
