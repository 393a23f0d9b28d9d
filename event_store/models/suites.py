"""The read model of test suites: a row for each, with its whole state and the columns that lists need."""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composable

from domain.canonical import digest
from domain.model import Value
from domain.suite.events import SUITE_EVENTS
from domain.suite.state import SuiteState, evolve
from event_store.keyset import decode_cursor, encode_cursor, storable
from event_store.projection import Projection


def _row(state: SuiteState) -> tuple[object, ...]:
    return (
        state.suite_id,
        state.org_id,
        state.name,
        state.created_at,
        state.updated_at,
        state.version,
        state.input_digest,
        storable(state.model_dump_json()),
    )


SUITES: Projection[SuiteState] = Projection(
    name="suites",
    definition="""
        suite_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        name text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version bigint NOT NULL,
        input_digest text NOT NULL,
        state jsonb NOT NULL""",
    indexes=(
        "(org_id, created_at DESC, suite_id DESC)",
        "(org_id, name, created_at DESC, suite_id DESC)",
    ),
    columns=("suite_id", "org_id", "name", "created_at", "updated_at", "version", "input_digest", "state"),
    events=frozenset(SUITE_EVENTS),
    content=lambda: digest(SuiteState.model_json_schema()),
    fold=evolve,
    row=_row,
    load=SuiteState.model_validate_json,
)


class SuiteStatePage(Value):
    """Some suites of one organization, newest first, and where the next page begins."""

    suites: tuple[SuiteState, ...]
    next_cursor: str | None = None


class SuiteQueries:
    """Questions about the suites of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, suite_id: str) -> SuiteState | None:
        """Read a suite, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.suites WHERE suite_id = %s", (suite_id,)
        )
        row = await found.fetchone()
        return None if row is None else SuiteState.model_validate_json(row["state"])

    async def version(self, suite_id: str) -> int:
        """Read the version of a suite, 0 if it is absent or another organization's."""
        found = await self._connection.execute("SELECT version FROM read_model.suites WHERE suite_id = %s", (suite_id,))
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def page(self, *, limit: int, cursor: str | None = None, name: str | None = None) -> SuiteStatePage:
        """List suites, newest first, by keyset: those that come meanwhile move no one from page to page.

        Raises:
            Verdict: `cursor.invalid`.

        """
        clauses: list[Composable] = [SQL("true")]
        values: list[Any] = []
        if cursor:
            clauses.append(SQL("(created_at, suite_id) < (%s, %s)"))
            values += decode_cursor(cursor)
        if name is not None:
            clauses.append(SQL("name = %s"))
            values.append(name)
        query = SQL(
            "SELECT state::text AS state FROM read_model.suites WHERE {} "
            "ORDER BY created_at DESC, suite_id DESC LIMIT %s"
        ).format(SQL(" AND ").join(clauses))
        found = await self._connection.execute(query, (*values, limit + 1))
        suites = [SuiteState.model_validate_json(row["state"]) for row in await found.fetchall()]
        more = encode_cursor(suites[limit - 1].created_at, suites[limit - 1].suite_id) if len(suites) > limit else None
        return SuiteStatePage(suites=tuple(suites[:limit]), next_cursor=more)

    async def bound_to(self, source_id: str, *, limit: int) -> tuple[str, ...]:
        """Name the suites that have an image of this build or upload in a slot."""
        found = await self._connection.execute(
            "SELECT name FROM read_model.suites WHERE jsonb_path_exists(state, '$.bindings[*] ? (@.source_id == $id)', "
            "jsonb_build_object('id', %s::text)) ORDER BY name LIMIT %s",
            (source_id, limit),
        )
        return tuple(str(row["name"]) for row in await found.fetchall())
