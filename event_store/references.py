"""What the read models refer to, over all organizations: for the owner's role, which alone may see them all.

The read models are folds of the log, so this is one too: nothing is counted, everything is looked at.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from domain.errors import Fault
from domain.keeping import JobFate, References
from event_store.connections import connect

_CAUGHT_UP_SECONDS = 30.0
_LAST = "SELECT coalesce(max(notification_id), 0) AS last FROM event_log.stored_events"
_BEHIND = "SELECT name FROM event_log.projections WHERE position < %s"

_DIGESTS = """
SELECT artifact #>> '{blob,digest}' AS digest
FROM read_model.builds, jsonb_array_elements(state->'artifacts') AS artifact
WHERE status <> 'deleted' AND state->>'expired' IS NULL AND NOT build_id = ANY(%s)
UNION SELECT state #>> '{lock,digest}' FROM read_model.builds
      WHERE status IN ('pending', 'building', 'testing')
         OR (status = 'failed' AND (state->'failure'->>'retryable')::boolean)
UNION SELECT state #>> '{spec,image,digest}' FROM read_model.vms WHERE status <> 'deleted'
UNION SELECT state->>'sha256' FROM read_model.images WHERE status NOT IN ('deleted', 'rejected')
UNION SELECT machine #>> '{image,digest}'
      FROM read_model.test_runs, jsonb_array_elements(state #> '{plan,machines}') AS machine
      WHERE status IN ('pending', 'booting', 'running')
"""
_FATES = """
SELECT build_id AS job_id, coalesce(state->>'plan', 'operator') AS plan, status = 'deleted' AS deleted,
       CASE WHEN status IN ('completed', 'cancelled', 'deleted')
              OR (status = 'failed' AND NOT (state->'failure'->>'retryable')::boolean)
       THEN CASE WHEN status <> 'deleted' AND state->>'expired' IS NOT NULL
            THEN (state->>'rested_at')::timestamptz ELSE updated_at END END AS ended_at
FROM read_model.builds
UNION ALL SELECT vm_id, state->>'plan', false, CASE WHEN status = 'deleted' THEN updated_at END FROM read_model.vms
UNION ALL SELECT run_id, coalesce(state->>'account', 'operator'), false,
       CASE WHEN status IN ('passed', 'failed', 'error', 'cancelled') THEN updated_at END FROM read_model.test_runs
UNION ALL SELECT image_id, coalesce(state->>'account', 'operator'), status = 'deleted',
       CASE WHEN status IN ('ready', 'rejected', 'deleted') THEN created_at END FROM read_model.images
"""
_SHOWN = """
SELECT file->>'key' AS key, array_agg(DISTINCT run_id) AS runs
FROM read_model.test_runs, jsonb_array_elements(state->'files') AS file
WHERE file->>'key' LIKE 'screens/%'
GROUP BY 1
"""
_EXPIRABLE = """
SELECT build_id AS job_id, coalesce(state->>'plan', 'operator') AS plan, updated_at AS ended_at
FROM read_model.builds AS build
WHERE state->>'expired' IS NULL AND jsonb_array_length(state->'artifacts') > 0
  AND (status IN ('completed', 'cancelled')
       OR (status = 'failed' AND NOT (state->'failure'->>'retryable')::boolean))
  AND NOT EXISTS (SELECT FROM read_model.vms
                  WHERE status <> 'deleted' AND state #>> '{spec,image,source_id}' = build.build_id)
  AND NOT EXISTS (SELECT FROM read_model.suites, jsonb_array_elements(suites.state->'bindings') AS binding
                  WHERE binding->>'source_id' = build.build_id)
"""


class ReferenceReads:
    """Asks the read models, once they show all that the log held when they were asked."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    async def references(self, *, without: Sequence[str] = ()) -> References:
        """Tell what is referred to; builds in `without` count as if their files had expired.

        Raises:
            Fault: `database.unavailable`, or `projection.behind` when the read models do not catch up.

        """
        rows = await self._ask((_DIGESTS, (list(without),)), (_FATES, ()), (_SHOWN, ()))
        return References(
            digests=frozenset(row["digest"] for row in rows[0] if row["digest"]),
            jobs={row["job_id"]: JobFate.model_validate(row) for row in rows[1]},
            shown={row["key"]: tuple(row["runs"]) for row in rows[2]},
        )

    async def builds_with_files(self) -> tuple[JobFate, ...]:
        """List builds that have ended and whose files are kept and used by no machine and no suite; raises as above."""
        [rows] = await self._ask((_EXPIRABLE, ()))
        return tuple(JobFate.model_validate(row) for row in rows)

    async def _ask(self, *questions: tuple[Any, Sequence[Any]]) -> list[list[dict[str, Any]]]:
        try:
            async with await connect(self._url, "keeper") as connection:
                await _caught_up(connection)
                async with connection.transaction():
                    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    found: list[list[dict[str, Any]]] = []
                    for query, values in questions:
                        # Without values no placeholders are looked for: some of these questions hold a percent sign.
                        cursor = connection.cursor(row_factory=dict_row)
                        await cursor.execute(query, values or None)
                        found.append(await cursor.fetchall())
                    return found
        except psycopg.OperationalError as error:
            raise Fault.because("database.unavailable", f"the database does not answer: {error}") from error


async def _caught_up(connection: AsyncConnection[Any]) -> None:
    """Wait until the read models show all that the log holds now: what they do not show yet must not be removed."""
    row = await (await connection.execute(_LAST)).fetchone()
    last = row[0] if row is not None else 0
    deadline = asyncio.get_running_loop().time() + _CAUGHT_UP_SECONDS
    while behind := [name for (name,) in await (await connection.execute(_BEHIND, (last,))).fetchall()]:
        if asyncio.get_running_loop().time() > deadline:
            raise Fault.because(
                "projection.behind",
                f"the read models {', '.join(behind)} do not show yet what the log holds",
                next="Look at the projector (openfactory status); nothing is removed in the meantime.",
            )
        await asyncio.sleep(0.2)
