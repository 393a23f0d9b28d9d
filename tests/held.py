"""What the factory still holds for jobs that are over: quota, open meters, leases of machines, turns of builds."""

import asyncio
from datetime import timedelta

import psycopg
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from event_store.names import LOG_SCHEMA, READ_SCHEMA
from workflows.fleet_models import FleetView
from workflows.fleet_reading import read_fleet

_QUERIES = {
    "reservation": f"SELECT r.vm_id FROM {LOG_SCHEMA}.reservations r JOIN {READ_SCHEMA}.vms v USING (vm_id) "  # noqa: S608 - constants
    "WHERE v.status = 'deleted'",
    "meter of the build": f"SELECT m.job_id FROM {LOG_SCHEMA}.meters m JOIN {READ_SCHEMA}.builds b "  # noqa: S608 - as above
    "ON b.build_id::text = m.job_id WHERE m.open AND b.status IN ('completed', 'failed', 'cancelled')",
    "meter of the machine": f"SELECT m.job_id FROM {LOG_SCHEMA}.meters m JOIN {READ_SCHEMA}.vms v "  # noqa: S608 - as above
    "ON v.vm_id::text = m.job_id WHERE m.open AND v.status = 'deleted'",
}
_LIVE = f"SELECT vm_id::text FROM {READ_SCHEMA}.vms WHERE status <> 'deleted'"  # noqa: S608 - as above
_WORKING = f"SELECT build_id::text FROM {READ_SCHEMA}.builds WHERE status NOT IN ('completed', 'failed', 'cancelled')"  # noqa: S608 - as above


def held(database: str, temporal: str) -> list[str]:
    """Name all that is held and should not be; `database` as its superuser, `temporal` as host and port."""
    with psycopg.connect(database, connect_timeout=5) as connection:
        found = [
            f"{what} {row[0]}"
            for what, query in _QUERIES.items()
            for row in connection.execute(query).fetchall()  # type: ignore[arg-type] # a constant
        ]
        live = {row[0] for row in connection.execute(_LIVE).fetchall()}  # type: ignore[arg-type] # as above
        working = {row[0] for row in connection.execute(_WORKING).fetchall()}  # type: ignore[arg-type] # as above
    fleet = asyncio.run(fleet_of(temporal))
    leases, turns = sum(host.machines for host in fleet.hosts), sum(host.builds for host in fleet.hosts)
    # Who waits holds nothing.
    placed, begun = live - set(fleet.waiting), working - {place.build_id for place in fleet.places}
    if leases > len(placed):
        found.append(f"{leases} leases are held for {len(placed)} machines")
    found += [f"place in the queue for machines of {vm_id}" for vm_id in fleet.waiting if vm_id not in live]
    if turns > len(begun):
        found.append(f"{turns} turns are held for {len(begun)} builds")
    return found


async def fleet_of(temporal: str) -> FleetView:
    """Ask the fleet what it has and who has it."""
    client = await Client.connect(temporal, data_converter=pydantic_data_converter)
    return await read_fleet(client, timedelta(seconds=10))
