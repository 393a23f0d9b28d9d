"""Quotas: reserved with the first event of a machine, however many are asked for at once."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordResult, RecordVmInput
from domain.errors import Fault, Verdict
from domain.vm.commands import RecordDeleted, RequestVm, VmCommand
from event_store.log import EventLog
from event_store.schema import Migrated
from tests.machines import NOON, request

pytestmark = pytest.mark.integration


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


async def record(log: EventLog, vm_id: str, command: VmCommand) -> RecordResult:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_run_id=str(uuid4()), activity_id="1")
    given = RecordVmInput(stream_id=vm_id, at=NOON, command=command)
    return await environment.run(RecordActivities(log).record_vm, given)


def asked(vm_id: str, *, org: str = "org", memory: int = 512, plan: str = "free") -> RequestVm:
    return RequestVm(request=request(vm_id, org_id=org, plan=plan, memory=memory, ttl=600))


async def test_fifty_requests_at_once_get_what_the_plan_allows_and_not_one_more(log: EventLog) -> None:
    async def one(vm_id: str) -> str:
        while True:
            try:
                await record(log, vm_id, asked(vm_id))
            except Verdict as verdict:
                return verdict.code
            except Fault:  # so many at once may wait too long for a lock; the workflow's policy tries again as well
                continue
            return "recorded"

    def in_a_thread(vm_id: str) -> str:
        return asyncio.run(one(vm_id))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(in_a_thread, [str(uuid4()) for _ in range(50)]))
    assert answers.count("recorded") == 3
    assert answers.count("vm.quota") == 47


async def test_every_dimension_that_is_exceeded_is_told(log: EventLog) -> None:
    first, second = str(uuid4()), str(uuid4())
    await record(log, first, asked(first, plan="guest"))
    with pytest.raises(Verdict) as refused:
        await record(log, second, asked(second, plan="guest", memory=1024))
    assert [problem.path for problem in refused.value.problems] == ["vms", "memory", "cpus"]
    assert log.read(UUID(second)) == ()


async def test_a_deleted_machine_gives_its_share_back_and_others_do_not_share_it(log: EventLog) -> None:
    first, second = str(uuid4()), str(uuid4())
    await record(log, first, asked(first, plan="guest"))
    await record(log, second, asked(second, org="another", plan="guest"))
    await record(log, first, RecordDeleted(removed=3))
    third = str(uuid4())
    assert (await record(log, third, asked(third, plan="guest"))).version == 1


async def test_a_repeated_request_reserves_once(log: EventLog) -> None:
    vm_id = str(uuid4())
    await record(log, vm_id, asked(vm_id, plan="guest"))
    assert await record(log, vm_id, asked(vm_id, plan="guest")) == RecordResult(version=1, appended=0)
