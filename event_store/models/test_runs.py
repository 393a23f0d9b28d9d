"""The read model of test runs: a row for each, with its whole state, a summary, and the columns that lists need.

A state holds every result and may be large, so lists read the summaries alone.
"""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composable, Identifier

from domain.canonical import digest
from domain.test_run.events import TEST_RUN_EVENTS
from domain.test_run.inputs import RunKind, RunPlan
from domain.test_run.state import RunState, RunStatus, evolve
from domain.test_run.summary import summarise
from domain.test_run.views import RunPage, RunSummary
from event_store.keyset import beyond, decode_cursor, encode_cursor, storable
from event_store.projection import Projection


def _row(state: RunState) -> tuple[object, ...]:
    return (
        state.run_id,
        state.org_id,
        state.plan.kind,
        state.plan.name.replace("\0", "�"),
        state.plan.target.id.replace("\0", "�"),
        state.status,
        state.requested_at,
        state.updated_at,
        state.version,
        state.input_digest,
        storable(summarise(state).model_dump_json()),
        storable(state.model_dump_json()),
    )


TEST_RUNS: Projection[RunState] = Projection(
    name="test_runs",
    definition="""
        run_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        kind text NOT NULL,
        name text COLLATE "C" NOT NULL,
        target_id text COLLATE "C" NOT NULL,
        status text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version bigint NOT NULL,
        input_digest text NOT NULL,
        summary jsonb NOT NULL,
        state jsonb NOT NULL""",
    indexes=(
        "(org_id, created_at DESC, run_id DESC)",
        "(org_id, status, created_at DESC, run_id DESC)",
        "(org_id, target_id, created_at DESC, run_id DESC)",
        "(org_id, kind, name, created_at DESC, run_id DESC)",
    ),
    columns=(
        "run_id",
        "org_id",
        "kind",
        "name",
        "target_id",
        "status",
        "created_at",
        "updated_at",
        "version",
        "input_digest",
        "summary",
        "state",
    ),
    events=frozenset(TEST_RUN_EVENTS),
    content=lambda: digest([RunState.model_json_schema(), RunSummary.model_json_schema()]),
    fold=evolve,
    row=_row,
    load=RunState.model_validate_json,
)


class RunQueries:
    """Questions about the test runs of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, run_id: str) -> RunState | None:
        """Read a run, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.test_runs WHERE run_id = %s", (run_id,)
        )
        row = await found.fetchone()
        return None if row is None else RunState.model_validate_json(row["state"])

    async def version(self, run_id: str) -> int:
        """Read the version of a run, 0 if it is absent or another organization's."""
        found = await self._connection.execute("SELECT version FROM read_model.test_runs WHERE run_id = %s", (run_id,))
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        kind: RunKind | None = None,
        status: RunStatus | None = None,
        target_id: str | None = None,
    ) -> RunPage:
        """List runs, newest first, by keyset: those that come meanwhile move no one from page to page.

        Raises:
            Verdict: `cursor.invalid`.

        """
        clauses: list[Composable] = [SQL("true")]
        values: list[Any] = []
        if cursor:
            clauses.append(SQL("(created_at, run_id) < (%s, %s)"))
            values += decode_cursor(cursor)
        for column, value in (("kind", kind), ("status", status), ("target_id", target_id)):
            if value is not None:
                clauses.append(SQL("{} = %s").format(Identifier(column)))
                values.append(value)
        query = SQL(
            "SELECT summary::text AS summary FROM read_model.test_runs WHERE {} "
            "ORDER BY created_at DESC, run_id DESC LIMIT %s"
        ).format(SQL(" AND ").join(clauses))
        found = await self._connection.execute(query, (*values, limit + 1))
        runs = [RunSummary.model_validate_json(row["summary"]) for row in await found.fetchall()]
        more = encode_cursor(runs[limit - 1].created_at, runs[limit - 1].run_id) if len(runs) > limit else None
        return RunPage(runs=tuple(runs[:limit]), next_cursor=more)

    async def called(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        """Find runs by how their id or name begins, newest first."""
        found = await self._connection.execute(
            """
            SELECT run_id FROM (
                (SELECT run_id, created_at FROM read_model.test_runs
                 WHERE run_id >= %(from)s AND run_id < %(to)s
                 ORDER BY created_at DESC, run_id DESC LIMIT %(limit)s)
                UNION
                (SELECT run_id, created_at FROM read_model.test_runs
                 WHERE name >= %(from)s AND name < %(to)s
                 ORDER BY created_at DESC, run_id DESC LIMIT %(limit)s)
            ) AS found ORDER BY created_at DESC, run_id DESC LIMIT %(limit)s
            """,
            {"from": beginning, "to": beyond(beginning), "limit": limit},
        )
        return tuple(str(row["run_id"]) for row in await found.fetchall())

    async def previous(self, run: RunState) -> RunState | None:
        """Read the run before this one that came to a verdict.

        Of the same suite; or of the same machine; or of any build of the same name.
        """
        return await self._last(run.plan, SQL("(created_at, run_id) < (%s, %s)"), run.requested_at, run.run_id)

    async def last(self, plan: RunPlan) -> RunState | None:
        """Read the run that one with this plan would be compared with if it were asked for now: see `previous`."""
        return await self._last(plan, SQL("true"))

    async def _last(self, plan: RunPlan, before: Composable, *values: object) -> RunState | None:
        same = "target_id" if plan.target.kind in {"suite", "vm"} else "name"
        found = await self._connection.execute(
            SQL(
                "SELECT state::text AS state FROM read_model.test_runs WHERE kind = %s AND {} = %s "
                "AND status IN ('passed', 'failed') AND {} ORDER BY created_at DESC, run_id DESC LIMIT 1"
            ).format(Identifier(same), before),
            (plan.kind, plan.target.id if same == "target_id" else plan.name, *values),
        )
        row = await found.fetchone()
        return None if row is None else RunState.model_validate_json(row["state"])
