"""The read model of rebuild schedules: a row for each that is not deleted or was, with its whole state."""

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL

from domain.canonical import digest
from domain.model import Value
from domain.rebuild.events import REBUILD_EVENTS
from domain.rebuild.state import ScheduleState, evolve
from event_store.keyset import decode_cursor, encode_cursor, storable
from event_store.projection import Projection


def _row(state: ScheduleState) -> tuple[object, ...]:
    return (
        state.schedule_id,
        state.org_id,
        state.deleted,
        state.created_at,
        state.version,
        storable(state.model_dump_json()),
    )


REBUILDS: Projection[ScheduleState] = Projection(
    name="rebuilds",
    definition="""
        schedule_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        deleted boolean NOT NULL,
        created_at timestamptz NOT NULL,
        version bigint NOT NULL,
        state jsonb NOT NULL""",
    indexes=("(org_id, deleted, created_at DESC, schedule_id DESC)",),
    columns=("schedule_id", "org_id", "deleted", "created_at", "version", "state"),
    events=frozenset(REBUILD_EVENTS),
    content=lambda: digest(ScheduleState.model_json_schema()),
    fold=evolve,
    row=_row,
    load=ScheduleState.model_validate_json,
)


class ScheduleStatePage(Value):
    """Some schedules of one organization, newest first, and where the next page begins."""

    schedules: tuple[ScheduleState, ...]
    next_cursor: str | None = None


class RebuildQueries:
    """Questions about the schedules of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, schedule_id: str) -> ScheduleState | None:
        """Read a schedule, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.rebuilds WHERE schedule_id = %s", (schedule_id,)
        )
        row = await found.fetchone()
        return None if row is None else ScheduleState.model_validate_json(row["state"])

    async def version(self, schedule_id: str) -> int:
        """Read the version of a schedule, 0 if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT version FROM read_model.rebuilds WHERE schedule_id = %s", (schedule_id,)
        )
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def count(self) -> int:
        """Count the schedules that are not deleted."""
        found = await self._connection.execute("SELECT count(*) AS held FROM read_model.rebuilds WHERE NOT deleted")
        row = await found.fetchone()
        return 0 if row is None else int(row["held"])

    async def page(self, *, limit: int, cursor: str | None = None) -> ScheduleStatePage:
        """List schedules that are not deleted, newest first, by keyset: new ones move no one from page to page.

        Raises:
            Verdict: `cursor.invalid`.

        """
        clauses: list[LiteralString] = ["NOT deleted"]
        values: list[Any] = []
        if cursor:
            clauses.append("(created_at, schedule_id) < (%s, %s)")
            values += decode_cursor(cursor)
        query = SQL(
            "SELECT state::text AS state FROM read_model.rebuilds WHERE {} "
            "ORDER BY created_at DESC, schedule_id DESC LIMIT %s"
        ).format(SQL(" AND ").join(map(SQL, clauses)))
        found = await self._connection.execute(query, (*values, limit + 1))
        states = [ScheduleState.model_validate_json(row["state"]) for row in await found.fetchall()]
        last = states[limit - 1] if len(states) > limit else None
        more = encode_cursor(last.created_at, last.schedule_id) if last else None
        return ScheduleStatePage(schedules=tuple(states[:limit]), next_cursor=more)
