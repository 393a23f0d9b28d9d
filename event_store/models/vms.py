"""The read model of virtual machines: a row for each, with its whole state and the columns that lists need."""

from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL

from domain.canonical import digest
from domain.model import Value
from domain.plan import Usage, needs
from domain.vm.events import VM_EVENTS
from domain.vm.state import VmState, VmStatus, evolve
from event_store.keyset import decode_cursor, encode_cursor, storable
from event_store.projection import Projection


def _row(state: VmState) -> tuple[object, ...]:
    needed = needs(state.spec)
    return (
        state.vm_id,
        state.org_id,
        state.spec.name,
        state.status,
        state.requested_at,
        state.updated_at,
        state.version,
        state.owner,
        needed.memory,
        needed.cpus,
        needed.disk,
        storable(state.model_dump_json()),
    )


VMS: Projection[VmState] = Projection(
    name="vms",
    definition="""
        vm_id text COLLATE "C" PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL CHECK (org_id <> ''),
        name text NOT NULL,
        status text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version bigint NOT NULL,
        owner text,
        memory bigint NOT NULL,
        cpus bigint NOT NULL,
        disk bigint NOT NULL,
        state jsonb NOT NULL""",
    indexes=(
        "(org_id, created_at DESC, vm_id DESC) WHERE status <> 'deleted'",
        "(org_id, created_at DESC, vm_id DESC)",
        "(org_id, status, created_at DESC, vm_id DESC)",
        "(org_id, name, created_at DESC, vm_id DESC)",
    ),
    columns=(
        "vm_id",
        "org_id",
        "name",
        "status",
        "created_at",
        "updated_at",
        "version",
        "owner",
        "memory",
        "cpus",
        "disk",
        "state",
    ),
    events=frozenset(VM_EVENTS),
    content=lambda: digest(VmState.model_json_schema()),
    fold=evolve,
    row=_row,
    load=VmState.model_validate_json,
)


class VmStatePage(Value):
    """Some machines of one organization, newest first, and where the next page begins."""

    vms: tuple[VmState, ...]
    next_cursor: str | None = None


class VmQueries:
    """Questions about the machines of the organization that the transaction was opened for."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def get(self, vm_id: str) -> VmState | None:
        """Read a machine, or nothing if it is absent or another organization's."""
        found = await self._connection.execute(
            "SELECT state::text AS state FROM read_model.vms WHERE vm_id = %s", (vm_id,)
        )
        row = await found.fetchone()
        return None if row is None else VmState.model_validate_json(row["state"])

    async def version(self, vm_id: str) -> int:
        """Read the version of a machine, 0 if it is absent or another organization's."""
        found = await self._connection.execute("SELECT version FROM read_model.vms WHERE vm_id = %s", (vm_id,))
        row = await found.fetchone()
        return 0 if row is None else int(row["version"])

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        status: VmStatus | None = None,
        name: str | None = None,
        deleted: bool = False,
    ) -> VmStatePage:
        """List machines, newest first, by keyset: those that come meanwhile move no one from page to page.

        Deleted ones are left out, unless `deleted` is set or that very status is asked for.

        Raises:
            Verdict: `cursor.invalid`.

        """
        clauses: list[LiteralString] = ["true"]
        values: list[Any] = []
        if cursor:
            clauses.append("(created_at, vm_id) < (%s, %s)")
            values += decode_cursor(cursor)
        if status is not None:
            clauses.append("status = %s")
            values.append(status)
        elif not deleted:
            clauses.append("status <> 'deleted'")
        if name is not None:
            clauses.append("name = %s")
            values.append(name)
        query = SQL(
            "SELECT state::text AS state FROM read_model.vms WHERE {} ORDER BY created_at DESC, vm_id DESC LIMIT %s"
        ).format(SQL(" AND ").join(map(SQL, clauses)))
        found = await self._connection.execute(query, (*values, limit + 1))
        vms = [VmState.model_validate_json(row["state"]) for row in await found.fetchall()]
        more = encode_cursor(vms[limit - 1].requested_at, vms[limit - 1].vm_id) if len(vms) > limit else None
        return VmStatePage(vms=tuple(vms[:limit]), next_cursor=more)

    async def made_of(self, source_id: str, *, limit: int) -> tuple[str, ...]:
        """Name the machines that are made of an image of this build or upload."""
        found = await self._connection.execute(
            "SELECT name FROM read_model.vms WHERE status <> 'deleted' AND state #>> '{spec,image,source_id}' = %s "
            "ORDER BY name LIMIT %s",
            (source_id, limit),
        )
        return tuple(str(row["name"]) for row in await found.fetchall())

    async def usage(self) -> Usage:
        """Tell what the organization's machines take; the log's own count is what quotas are held by."""
        found = await self._connection.execute(
            """
            SELECT count(*) AS vms, coalesce(sum(memory), 0)::bigint AS memory, coalesce(sum(cpus), 0)::bigint AS cpus,
                   coalesce(sum(disk), 0)::bigint AS disk
            FROM read_model.vms WHERE status <> 'deleted'
            """
        )
        row = await found.fetchone()
        return Usage() if row is None else Usage.model_validate(row)
