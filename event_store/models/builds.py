"""The read model of builds: a row for each build, with its whole state and the columns that lists need."""

from typing import Any, LiteralString, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL

from domain.build.events import BUILD_EVENTS
from domain.build.names import BuildTag
from domain.build.progress import StepDuration
from domain.build.state import BuildState, BuildStatus, evolve
from domain.build_summary import summarise
from domain.canonical import digest
from domain.views import BuildPage, BuildSummary
from event_store.keyset import beyond, decode_cursor, encode_cursor, storable
from event_store.projection import Projection

SAMPLES = 20
_VERIFIED = """status = 'completed'
    AND jsonb_path_exists(state, '$.artifacts[*] ? (@.kind == "qcow2" || @.kind == "iso")')
    AND NOT jsonb_path_exists(
        state, '$.artifacts[*] ? ((@.kind == "qcow2" || @.kind == "iso") && @.verification != "verified")'
    )"""


def _row(state: BuildState) -> tuple[object, ...]:
    failure = None if state.failure is None else f"{state.failure.step}: {state.failure.problems[0].message}"
    return (
        state.build_id,
        state.org_id,
        str(state.recipe.get("name", "")).replace("\0", "�"),
        str(state.recipe.get("baseImage", "")).replace("\0", "�"),
        state.status,
        state.requested_at,
        state.updated_at,
        state.version,
        state.seconds,
        None if failure is None else failure.replace("\0", "�"),
        state.input_digest,
        list(state.evidence),
        storable(summarise(state).model_dump_json()),
        storable(state.model_dump_json()),
    )


BUILDS: Projection[BuildState] = Projection(
    name="builds",
    definition="""
        build_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        name text COLLATE "C" NOT NULL,
        base text NOT NULL,
        status text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version bigint NOT NULL,
        seconds double precision,
        failure text,
        input_digest text NOT NULL,
        evidence text[] NOT NULL,
        summary jsonb NOT NULL,
        state jsonb NOT NULL""",
    indexes=(
        "(org_id, created_at DESC, build_id DESC)",
        "(org_id, status, created_at DESC, build_id DESC)",
        "(org_id, name, created_at DESC, build_id DESC)",
        "USING gin (evidence)",
    ),
    columns=(
        "build_id",
        "org_id",
        "name",
        "base",
        "status",
        "created_at",
        "updated_at",
        "version",
        "seconds",
        "failure",
        "input_digest",
        "evidence",
        "summary",
        "state",
    ),
    events=frozenset(BUILD_EVENTS),
    content=lambda: digest([BuildState.model_json_schema(), BuildSummary.model_json_schema()]),
    fold=evolve,
    row=_row,
    load=BuildState.model_validate_json,
)

# Of one organization: of `org`, else of the one that the policies show. Of a name, or of any if it has none.
DURATIONS: LiteralString = """
    WITH named AS MATERIALIZED (
        SELECT state FROM read_model.builds
        WHERE status = 'completed' AND name = %(name)s AND (%(org)s::text IS NULL OR org_id = %(org)s)
        ORDER BY created_at DESC, build_id DESC LIMIT %(samples)s
    ), recent AS (
        SELECT state FROM named
        UNION ALL (
            SELECT state FROM read_model.builds
            WHERE NOT EXISTS (SELECT FROM named)
              AND status = 'completed' AND (%(org)s::text IS NULL OR org_id = %(org)s)
            ORDER BY created_at DESC, build_id DESC LIMIT %(samples)s
        )
    )
    SELECT step->>'step' AS step, (step->>'cached')::boolean AS cached, count(*) AS samples,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY (step->>'seconds')::double precision) AS seconds
    FROM recent, jsonb_array_elements(state->'steps') AS step
    WHERE step->>'status' = 'completed' AND step->>'seconds' IS NOT NULL
    GROUP BY 1, 2
"""


class Outlook(NamedTuple):
    """What a new build finds: how many wait and how many run already, and how long steps usually take."""

    waiting: int
    running: int
    durations: tuple[StepDuration, ...]


class BuildQueries:
    """Questions about the builds of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, build_id: str) -> BuildState | None:
        """Read a build, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.builds WHERE build_id = %s", (build_id,)
        )
        row = await found.fetchone()
        return None if row is None else BuildState.model_validate_json(row["state"])

    async def version(self, build_id: str) -> int:
        """Read the version of a build, 0 if it is absent or another organization's."""
        found = await self._connection.execute("SELECT version FROM read_model.builds WHERE build_id = %s", (build_id,))
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def page(
        self, *, limit: int, cursor: str | None = None, status: BuildStatus | None = None, name: str | None = None
    ) -> BuildPage:
        """List builds, newest first, by keyset: builds that come meanwhile move no one from page to page.

        Deleted ones are left out, unless that very status is asked for.

        Raises:
            Verdict: `cursor.invalid`.

        """
        clauses: list[LiteralString] = ["true"]
        values: list[Any] = []
        if cursor:
            clauses.append("(created_at, build_id) < (%s, %s)")
            values += decode_cursor(cursor)
        if status is not None:
            clauses.append("status = %s")
            values.append(status)
        else:
            clauses.append("status <> 'deleted'")
        if name is not None:
            clauses.append("name = %s")
            values.append(name)
        query = SQL(
            "SELECT summary::text AS summary FROM read_model.builds WHERE {} "
            "ORDER BY created_at DESC, build_id DESC LIMIT %s"
        ).format(SQL(" AND ").join(map(SQL, clauses)))
        found = await self._connection.execute(query, (*values, limit + 1))
        builds = [BuildSummary.model_validate_json(row["summary"]) for row in await found.fetchall()]
        more = encode_cursor(builds[limit - 1].created_at, builds[limit - 1].build_id) if len(builds) > limit else None
        return BuildPage(builds=tuple(builds[:limit]), next_cursor=more)

    async def newest(self, tag: BuildTag) -> str | None:
        """Find the build that a tag stands for now: the newest of its recipe, or of all, that is not deleted."""
        clauses: list[LiteralString] = ["status <> 'deleted'"]
        if tag.recipe is not None:
            clauses.append("name = %(recipe)s")
        if tag.verified:
            clauses.append(_VERIFIED)
        query = SQL(
            "SELECT build_id FROM read_model.builds WHERE {} ORDER BY created_at DESC, build_id DESC LIMIT 1"
        ).format(SQL(" AND ").join(map(SQL, clauses)))
        found = await self._connection.execute(query, {"recipe": tag.recipe})
        row = await found.fetchone()
        return None if row is None else str(row["build_id"])

    async def beginning(self, digits: str, *, limit: int) -> tuple[str, ...]:
        """Find ids by their first digits. The primary key is in byte order, so this is a range of it."""
        found = await self._connection.execute(
            "SELECT build_id FROM read_model.builds WHERE build_id >= %s AND build_id < %s ORDER BY build_id LIMIT %s",
            (digits, f"{digits}g", limit),  # g follows every hexadecimal digit and the hyphen
        )
        return tuple(str(row["build_id"]) for row in await found.fetchall())

    async def called(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        """Find builds that are not deleted by how their id or name begins (each a range of an index), newest first."""
        found = await self._connection.execute(
            """
            SELECT build_id FROM (
                (SELECT build_id, created_at FROM read_model.builds
                 WHERE status <> 'deleted' AND build_id >= %(from)s AND build_id < %(to)s
                 ORDER BY created_at DESC, build_id DESC LIMIT %(limit)s)
                UNION
                (SELECT build_id, created_at FROM read_model.builds
                 WHERE status <> 'deleted' AND name >= %(from)s AND name < %(to)s
                 ORDER BY created_at DESC, build_id DESC LIMIT %(limit)s)
            ) AS found ORDER BY created_at DESC, build_id DESC LIMIT %(limit)s
            """,
            {"from": beginning, "to": beyond(beginning), "limit": limit},
        )
        return tuple(str(row["build_id"]) for row in await found.fetchall())

    async def outlook(self, name: str) -> Outlook:
        """Count the builds that have not begun yet and those under way, and tell the `durations` of this name."""
        counted = await self._connection.execute(
            "SELECT status, count(*) AS builds FROM read_model.builds "
            "WHERE status IN ('pending', 'building', 'testing') GROUP BY 1"
        )
        durations = await self.durations(name)
        builds = {str(row["status"]): int(row["builds"]) for row in await counted.fetchall()}
        waiting = builds.pop("pending", 0)
        return Outlook(waiting, sum(builds.values()), durations)

    async def durations(self, name: str) -> tuple[StepDuration, ...]:
        """Tell how long each step took in the last twenty completed builds of this name, or of any if it has none."""
        found = await self._connection.execute(DURATIONS, {"org": None, "name": name, "samples": SAMPLES})
        return tuple(StepDuration.model_validate(row) for row in await found.fetchall())
