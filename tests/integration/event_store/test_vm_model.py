"""The read model of machines on a real database: pages, filters, counts, and other organizations."""

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from domain.errors import Verdict
from domain.plan import Usage
from domain.vm import commands as c
from domain.vm.decide import decide
from domain.vm.state import fold
from event_store.connections import connect
from event_store.log import EventLog
from event_store.mapper import Cause
from event_store.models.vms import VMS, VmQueries
from event_store.names import ORG_SETTING
from event_store.projector import Feeds
from event_store.schema import Migrated
from tests.machines import NOON, request

pytestmark = pytest.mark.integration


def told(log: EventLog, *, minute: int, org: str = "org", name: str = "web", deleted: bool = False) -> str:
    """Have a machine in the log."""
    vm_id = str(uuid4())
    commands: list[c.VmCommand] = [c.RequestVm(request=request(vm_id, org_id=org, name=name))]
    if deleted:
        commands.append(c.RecordDeleted(removed=1))
    for command in commands:
        log.append(
            UUID(vm_id),
            Cause(run_id=str(uuid4()), activity_id="1"),
            lambda history, command=command: decide(fold(history), command, now=NOON + timedelta(minutes=minute)),
        )
    return vm_id


async def test_machines_are_listed_newest_first_counted_and_kept_apart(database: Migrated) -> None:
    with EventLog(database.owner_url) as log:
        ids = [told(log, minute=minute) for minute in range(5)]
        gone = told(log, minute=9, deleted=True)
        told(log, minute=3, org="another")
        named = told(log, minute=8, name="db")
    async with await connect(database.owner_url, "test") as owner:
        while await Feeds([VMS]).advance(owner):
            pass
    async with (
        await psycopg.AsyncConnection[DictRow].connect(database.front_url, row_factory=dict_row) as front,
        front.transaction(),
    ):
        await front.execute("SELECT set_config(%s, %s, true)", (ORG_SETTING, "org"))
        vms = VmQueries(front)
        first = await vms.page(limit=4)
        second = await vms.page(limit=4, cursor=first.next_cursor)
        assert [vm.vm_id for vm in (*first.vms, *second.vms)] == [named, *reversed(ids)]
        assert second.next_cursor is None
        assert [vm.vm_id for vm in (await vms.page(limit=9, name="db")).vms] == [named]
        assert [vm.vm_id for vm in (await vms.page(limit=9, status="deleted")).vms] == [gone]
        assert len((await vms.page(limit=9, deleted=True)).vms) == 7
        assert await vms.usage() == Usage(vms=6, memory=6 * 512, cpus=6, disk=6 * 1024)
        assert await vms.version(ids[0]) == 1
        assert await vms.version(str(uuid4())) == 0
        with pytest.raises(Verdict, match=r"cursor\.invalid"):
            await vms.page(limit=4, cursor="nonsense")
