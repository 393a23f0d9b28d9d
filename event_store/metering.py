"""What metered organizations spend: reserved in the transaction of a job's first event, settled in that of its last.

The ledger is beside the log, and one organization's reservations wait for each other, so that however many
builds are asked for at once, exactly as many are recorded as the plan allows. Organizations that are not metered
have no row. The front sees its own organization's rows through a view.
"""

import json
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from domain.build import commands as b
from domain.errors import Verdict
from domain.metering import Spent, check_builds, check_minutes, minutes_of
from domain.plan import plan_of
from domain.vm import commands as v
from event_store.names import LOG_SCHEMA
from event_store.statements import Statement

_OVER_ALLOWANCE: Final = "OF002"  # as `reservations`: an SQLSTATE of our own
_NO_LIMIT: Final = 2**31

_AGAIN: Final = (
    "INSERT INTO event_log.meters SELECT meter, %s, job_id, org_id, plan, %s, 1, most, true "
    "FROM event_log.meters WHERE meter = 'builds' AND piece = %s ON CONFLICT DO NOTHING"
)
_FREE: Final = "UPDATE event_log.meters SET amount = 0 WHERE meter = 'builds' AND piece = %s"
_CLOSED: Final = "UPDATE event_log.meters SET open = false WHERE job_id = %s AND open"
_SETTLED: Final = (
    "UPDATE event_log.meters SET open = false, amount = least(amount, greatest(1, "
    "ceil(extract(epoch FROM %s - at) / 60))) WHERE meter = 'vm_minutes' AND piece = %s AND open"
)


def build_statements(build_id: str, command: b.BuildCommand, at: datetime) -> tuple[Statement, ...]:
    """Tell what belongs into the transaction of a build's command.

    A retry is charged like a build; that it is allowed was asked before, for a parked build cannot be refused by
    its own record. What failed because the factory is wrong costs nothing.
    """
    match command:
        case b.RequestBuild():
            return _reserve_build(command, at)
        case b.RetryBuild():
            return ((_AGAIN, (_piece(build_id, command.generation), at, _piece(build_id, 0))),)
        case b.FailBuild(cause="fault"):
            return ((_FREE, (_piece(build_id, command.generation),)), (_CLOSED, (build_id,)))
        case b.FailBuild() | b.CompleteBuild() | b.CancelBuild() | b.CloseRetryWindow():
            return ((_CLOSED, (build_id,)),)
        case _:
            return ()


def vm_statements(vm_id: str, command: v.VmCommand, at: datetime) -> tuple[Statement, ...]:
    """Tell what belongs into the transaction of a machine's command: its life is reserved, and settled at its end."""
    match command:
        case v.RequestVm():
            return _reserve_life(command, at)
        case v.RecordExtended(expires_at=datetime() as ends):
            return ((f"SELECT {LOG_SCHEMA}.spend_until(%s, %s, %s)", (vm_id, at, ends)),)
        case v.RecordDeleted():
            return ((_SETTLED, (at, vm_id)),)
        case _:
            return ()


def over_allowance(error: BaseException) -> Verdict | None:
    """Read a refusal out of what the database raised; nothing if it is another error."""
    cause = error.__cause__ if not isinstance(error, psycopg.Error) else error
    if not isinstance(cause, psycopg.Error) or cause.sqlstate != _OVER_ALLOWANCE:
        return None
    found: dict[str, Any] = json.loads(cause.diag.message_detail or "{}")
    allowance = plan_of(str(found["plan"])).allowance
    if allowance is None:
        return None
    frees_at = None if found["frees_at"] is None else datetime.fromisoformat(found["frees_at"])
    if found["meter"] == "builds":
        spent = Spent(builds=found["day"], open_builds=found["open"], builds_at=frees_at)
        return Verdict(*check_builds(found["plan"], allowance, spent))
    spent = Spent(vm_minutes=found["day"], vm_minutes_at=frees_at)
    return Verdict(*check_minutes(found["plan"], allowance, spent, found["more"]))


class MeterQueries:
    """What the organization that the transaction was opened for has spent."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def spent(self) -> Spent:
        """Read all meters; the log's own count is what quotas are held by."""
        found = await self._connection.execute("""
            SELECT coalesce(sum(amount) FILTER (WHERE meter = 'builds' AND recent), 0)::bigint AS builds,
                   count(*) FILTER (WHERE meter = 'builds' AND open) AS open_builds,
                   min(at) FILTER (WHERE meter = 'builds' AND recent AND amount > 0) + interval '1 day' AS builds_at,
                   coalesce(sum(amount) FILTER (WHERE meter = 'vm_minutes' AND recent), 0)::bigint AS vm_minutes,
                   min(at) FILTER (WHERE meter = 'vm_minutes' AND recent AND amount > 0) + interval '1 day'
                       AS vm_minutes_at
            FROM (SELECT *, at > now() - interval '1 day' AS recent FROM read_model.spending) AS mine
            """)
        row = await found.fetchone()
        return Spent() if row is None else Spent.model_validate(row)


def _reserve_build(command: b.RequestBuild, at: datetime) -> tuple[Statement, ...]:
    request = command.request
    allowance = plan_of(request.plan).allowance
    if allowance is None:
        return ()
    piece, most = _piece(request.build_id, 0), (allowance.builds_per_day, allowance.open_builds)
    return (_spend("builds", piece, request.build_id, request.org_id, request.plan, at, 1, *most),)


def _reserve_life(command: v.RequestVm, at: datetime) -> tuple[Statement, ...]:
    request = command.request
    allowance = plan_of(request.plan).allowance
    if allowance is None:
        return ()
    minutes = _NO_LIMIT if request.spec.ttl is None else minutes_of(request.spec.ttl)
    most = (allowance.vm_minutes_per_day, _NO_LIMIT)
    return (_spend("vm_minutes", request.vm_id, request.vm_id, request.org_id, request.plan, at, minutes, *most),)


def _spend(*values: object) -> Statement:
    return (f"SELECT {LOG_SCHEMA}.spend({', '.join(['%s'] * len(values))})", values)


def _piece(build_id: str, generation: int) -> str:
    return f"{build_id}#{generation}"
