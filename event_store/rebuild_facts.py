"""What a look at packages needs to know of the past: for the owner's role, which the core worker has."""

import psycopg
from psycopg.rows import dict_row

from domain.build.state import BuildState
from domain.errors import Fault
from domain.rebuild.facts import RebuildFacts
from domain.rebuild.state import ScheduleState
from event_store.connections import connect

_SCHEDULE = "SELECT state::text AS state FROM read_model.rebuilds WHERE schedule_id = %s"
_OPEN = """
SELECT build_id FROM read_model.builds
WHERE org_id = %s AND state->>'recipe_digest' = %s AND status IN ('pending', 'building', 'testing')
ORDER BY created_at DESC LIMIT 1
"""
_COMPLETED = """
SELECT state::text AS state FROM read_model.builds
WHERE org_id = %s AND name = %s AND status = 'completed' AND state->>'recipe_digest' = %s
ORDER BY created_at DESC, build_id DESC LIMIT 1
"""
_SECONDS = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds FROM (
    SELECT seconds FROM read_model.builds WHERE org_id = %s AND name = %s AND status = 'completed'
    ORDER BY created_at DESC LIMIT 20
) AS recent
"""


class RebuildReads:
    """Reads them, with a connection for each question."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    async def facts(self, schedule_id: str) -> RebuildFacts | None:
        """Tell what is known for a schedule; nothing if there is none, or it was deleted.

        Raises:
            Fault: `database.unavailable`.

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
                await rows.execute(_COMPLETED, (schedule.org_id, schedule.name, schedule.recipe_digest))
                completed = await rows.fetchone()
                await rows.execute(_SECONDS, (schedule.org_id, schedule.name))
                usual = await rows.fetchone()
        except psycopg.OperationalError as error:
            raise Fault.because("database.unavailable", f"the database does not answer: {error}") from error
        last = None if completed is None else BuildState.model_validate_json(completed["state"])
        return RebuildFacts(
            schedule=schedule,
            building=None if under_way is None else str(under_way["build_id"]),
            last_build=None if last is None else last.build_id,
            manifest=None if last is None else _manifest(last),
            seconds=None if usual is None else usual["seconds"],
        )


def _manifest(build: BuildState) -> str | None:
    found = (a.blob.digest for a in build.artifacts if a.kind == "manifest" and a.name == "packages.json")
    return next(found, None)
