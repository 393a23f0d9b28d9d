"""Which jobs have not ended, over all organizations: for the owner's role, which alone may see them all."""

from collections.abc import Collection
from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row

from domain.errors import Fault
from domain.jobs import OpenJob
from event_store.connections import connect

_OPEN = """
SELECT kind, job_id, org_id, status, generation, step, booted, host, queue, token, machines FROM (
SELECT 'build' AS kind, build_id AS job_id, org_id, status, created_at,
       coalesce((state->>'generation')::int, 0) AS generation,
       state->'steps'->-1->>'step' AS step,
       jsonb_path_exists(state, '$.steps[*] ? (@.step == "boot")') AS booted,
       state->>'host' AS host, NULL AS queue, 0::bigint AS token, '{}'::text[] AS machines
FROM read_model.builds
WHERE status IN ('pending', 'building', 'testing', 'failed')
  AND NOT (status = 'failed' AND NOT coalesce((state->'failure'->>'retryable')::boolean, false))
UNION ALL
SELECT 'vm', vm_id, org_id, status, created_at, 0, NULL, false, state->>'host', state->>'queue',
       coalesce((state->>'token')::bigint, 0), '{}'::text[]
FROM read_model.vms WHERE status <> 'deleted'
UNION ALL
SELECT 'test-run', run_id, org_id, status, created_at, 0, NULL, false, NULL, NULL, 0,
       ARRAY(SELECT machine->>'vm_id' FROM jsonb_array_elements(state->'machines') AS machine
             WHERE (machine->>'owned')::boolean AND machine->>'vm_id' IS NOT NULL)
FROM read_model.test_runs WHERE status IN ('pending', 'booting', 'running')
UNION ALL
SELECT 'image', image_id, org_id, status, created_at, 0, NULL, false, NULL, NULL, 0, '{}'::text[]
FROM read_model.images WHERE status IN ('uploading', 'checking')
) AS open
ORDER BY created_at, job_id
"""


_KNOWN = """
SELECT build_id AS job_id FROM read_model.builds WHERE build_id = ANY(%(ids)s)
UNION ALL SELECT vm_id FROM read_model.vms WHERE vm_id = ANY(%(ids)s)
UNION ALL SELECT run_id FROM read_model.test_runs WHERE run_id = ANY(%(ids)s)
UNION ALL SELECT image_id FROM read_model.images WHERE image_id = ANY(%(ids)s)
"""


class OpenJobReads:
    """Lists them, with a connection for each question: it is asked once a minute."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    async def all(self) -> tuple[OpenJob, ...]:
        """List them, the oldest first.

        Raises:
            Fault: `database.unavailable`.

        """
        return tuple(OpenJob.model_validate(row) for row in await self._rows(_OPEN))

    async def recorded(self, job_ids: Collection[str]) -> frozenset[str]:
        """Tell which of these jobs the read models show.

        Raises:
            Fault: `database.unavailable`.

        """
        return frozenset(str(row["job_id"]) for row in await self._rows(_KNOWN, {"ids": list(job_ids)}))

    async def _rows(self, query: LiteralString, values: dict[str, Any] | None = None) -> list[DictRow]:
        try:
            async with (
                await connect(self._url, "keeper") as connection,
                connection.cursor(row_factory=dict_row) as rows,
            ):
                await rows.execute(query, values)
                return await rows.fetchall()
        except psycopg.OperationalError as error:
            raise Fault.because("database.unavailable", f"the database does not answer: {error}") from error
