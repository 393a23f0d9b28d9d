"""What each organization's machines take of its quota, reserved in the transaction of their first event.

One organization's reservations wait for each other (an advisory lock until the commit), so that however
many machines are asked for at once, no more are recorded than the plan allows.
"""

import json
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from domain.errors import Verdict
from domain.plan import Usage, check_quota, needs, plan_of
from domain.vm.commands import RecordDeleted, RequestVm, VmCommand
from event_store.names import LOG_SCHEMA
from event_store.statements import Statement

_OVER_QUOTA: Final = "OF001"  # an SQLSTATE of our own: classes beginning with O are nobody's

RESERVATION_STATEMENTS: tuple[Composed, ...] = (
    SQL(
        "CREATE TABLE IF NOT EXISTS {} (vm_id text PRIMARY KEY, org_id text NOT NULL CHECK (org_id <> ''), "
        "memory bigint NOT NULL, cpus bigint NOT NULL, disk bigint NOT NULL)"
    ).format(Identifier(LOG_SCHEMA, "reservations")),
    SQL("CREATE INDEX IF NOT EXISTS reservations_of_org ON {} (org_id)").format(Identifier(LOG_SCHEMA, "reservations")),
    SQL("""
        CREATE OR REPLACE FUNCTION {function}(
            org text, vm text, plan text,
            more_memory bigint, more_cpus bigint, more_disk bigint,
            most_vms bigint, most_memory bigint, most_cpus bigint, most_disk bigint
        ) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE held record;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('openfactory quota ' || org, 0));
            IF EXISTS (SELECT FROM {table} r WHERE r.vm_id = vm) THEN RETURN; END IF;
            SELECT count(*) AS vms, coalesce(sum(r.memory), 0) AS memory, coalesce(sum(r.cpus), 0) AS cpus,
                   coalesce(sum(r.disk), 0) AS disk
                INTO held FROM {table} r WHERE r.org_id = org;
            IF held.vms >= most_vms OR held.memory + more_memory > most_memory
                OR held.cpus + more_cpus > most_cpus OR held.disk + more_disk > most_disk THEN
                RAISE EXCEPTION 'quota' USING ERRCODE = 'OF001', DETAIL = json_build_object(
                    'plan', plan, 'used', row_to_json(held), 'more', json_build_object(
                        'vms', 1, 'memory', more_memory, 'cpus', more_cpus, 'disk', more_disk))::text;
            END IF;
            INSERT INTO {table} (vm_id, org_id, memory, cpus, disk) VALUES (vm, org, more_memory, more_cpus, more_disk);
        END $$
        """).format(function=Identifier(LOG_SCHEMA, "reserve_vm"), table=Identifier(LOG_SCHEMA, "reservations")),
)
"""What the migration makes; harmless to repeat."""


def statements_of(vm_id: str, command: VmCommand) -> tuple[Statement, ...]:
    """Tell what belongs into the transaction of this command: a machine's first fact reserves, its last one frees."""
    if isinstance(command, RequestVm):
        return (_reserve(command),)
    if isinstance(command, RecordDeleted):
        return ((f"DELETE FROM {LOG_SCHEMA}.reservations WHERE vm_id = %s", (vm_id,)),)  # noqa: S608 - a constant of ours
    return ()


def refusal(error: BaseException) -> Verdict | None:
    """Read the refusal of a reservation out of what the database raised; nothing if it is another error."""
    cause = error.__cause__ if not isinstance(error, psycopg.Error) else error
    if not isinstance(cause, psycopg.Error) or cause.sqlstate != _OVER_QUOTA:
        return None
    found: dict[str, Any] = json.loads(cause.diag.message_detail or "{}")
    used, more = Usage.model_validate(found["used"]), Usage.model_validate(found["more"])
    return Verdict(*check_quota(plan_of(str(found["plan"])), used, more))


def _reserve(command: RequestVm) -> Statement:
    request = command.request
    plan, more = plan_of(request.plan), needs(request.spec)
    values = (request.org_id, request.vm_id, request.plan, more.memory, more.cpus, more.disk)
    most = (plan.vms, plan.memory, plan.cpus, plan.disk)
    marks = ", ".join(["%s"] * len((*values, *most)))
    return (f"SELECT {LOG_SCHEMA}.reserve_vm({marks})", (*values, *most))
