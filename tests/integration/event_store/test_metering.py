"""Allowances: spent with a job's first event, settled with its last, exactly, however many ask at once."""

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordInput, RecordVmInput
from domain.build import commands as b
from domain.build.inputs import BuildRequest
from domain.errors import Fault, Problem, Verdict
from domain.metering import Spent
from domain.plan import plan_of
from domain.vm import commands as v
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.schema import Migrated
from tests.machines import request

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)
ALLOWANCE = plan_of("guest").allowance or pytest.fail("guests are not metered")


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


class Ledger:
    """Records commands of one organization at times relative to now, and asks what it has spent."""

    def __init__(self, log: EventLog, database: Migrated, org: str = "guest-a") -> None:
        self._log = log
        self._database = database
        self.org = org

    async def build(self, build_id: str, command: b.BuildCommand | None = None, *, hours: float = 0) -> None:
        asked = BuildRequest(
            build_id=build_id, org_id=self.org, requested_by="me", recipe={"name": "web"}, plan="guest"
        )
        at = NOW + timedelta(hours=hours)
        given = RecordInput(build_id=build_id, at=at, command=command or b.RequestBuild(request=asked))
        await environment().run(RecordActivities(self._log).record_build, given)

    async def vm(self, vm_id: str, command: v.VmCommand | None = None, *, minutes: float = 0, ttl: int = 3600) -> None:
        asked = request(vm_id, org_id=self.org, plan="guest", ttl=ttl, egress=False)
        at = NOW + timedelta(minutes=minutes)
        given = RecordVmInput(stream_id=vm_id, at=at, command=command or v.RequestVm(request=asked))
        await environment().run(RecordActivities(self._log).record_vm, given)

    async def spent(self) -> Spent:
        async with FrontDatabase(self._database.front_url) as front, front.org(self.org) as reads:
            return await reads.meters.spent()


@pytest.fixture
def ledger(log: EventLog, database: Migrated) -> Ledger:
    return Ledger(log, database)


def environment() -> ActivityEnvironment:
    made = ActivityEnvironment()
    made.info = replace(made.info, workflow_run_id=str(uuid4()), activity_id="1")
    return made


def failed(cause: str, generation: int = 0) -> b.FailBuild:
    problem = Problem(code="x", message="x")
    return b.FailBuild.model_validate(
        {"step": "resolve", "generation": generation, "cause": cause, "problems": (problem,), "retry_seconds": 60}
    )


async def test_two_hundred_creates_at_once_spend_exactly_the_quota(log: EventLog, database: Migrated) -> None:
    ledger = Ledger(log, database)

    async def one(build_id: str) -> str:
        while True:
            try:
                await ledger.build(build_id)
            except Verdict as verdict:
                return verdict.code
            except Fault:  # so many at once may wait too long for a lock; the workflow's policy tries again as well
                continue
            return "recorded"

    def in_a_thread(build_id: str) -> str:
        return asyncio.run(one(build_id))

    ids = [str(uuid4()) for _ in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(in_a_thread, ids))
    assert answers.count("recorded") == ALLOWANCE.open_builds
    assert answers.count("build.quota") == 200 - ALLOWANCE.open_builds
    assert len([build_id for build_id in ids if log.read(UUID(build_id))]) == ALLOWANCE.open_builds
    assert await ledger.spent() == Spent(
        builds=ALLOWANCE.open_builds, open_builds=ALLOWANCE.open_builds, builds_at=NOW + timedelta(days=1)
    )


async def test_a_day_has_so_many_builds_and_tells_when_more_come_back(ledger: Ledger) -> None:
    for hour in range(ALLOWANCE.builds_per_day):
        build_id = str(uuid4())
        await ledger.build(build_id, hours=hour)
        await ledger.build(build_id, b.CancelBuild(requested_by="me", reason="x"), hours=hour)
    with pytest.raises(Verdict) as refused:
        await ledger.build(str(uuid4()), hours=23)
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("build.quota", "builds_per_day")
    assert f"{NOW + timedelta(days=1):%Y-%m-%d %H:%M}" in str(problem.next)
    await ledger.build(str(uuid4()), hours=24.1)


async def test_a_repeated_request_is_spent_once(ledger: Ledger) -> None:
    build_id = str(uuid4())
    await ledger.build(build_id)
    await ledger.build(build_id)
    assert (await ledger.spent()).builds == 1


async def test_what_failed_by_the_factorys_fault_is_given_back_and_a_retry_is_spent_again(ledger: Ledger) -> None:
    build_id = str(uuid4())
    await ledger.build(build_id)
    await ledger.build(build_id, b.StartStep(step="resolve", generation=0))
    await ledger.build(build_id, failed("fault"))
    assert (await ledger.spent()).model_dump(include={"builds", "open_builds"}) == {"builds": 0, "open_builds": 0}
    await ledger.build(build_id, b.RetryBuild(generation=1, requested_by="me", command_id="c"))
    assert (await ledger.spent()).model_dump(include={"builds", "open_builds"}) == {"builds": 1, "open_builds": 1}
    await ledger.build(build_id, b.StartStep(step="resolve", generation=1))
    await ledger.build(build_id, failed("verdict", 1))
    assert (await ledger.spent()).model_dump(include={"builds", "open_builds"}) == {"builds": 1, "open_builds": 0}


async def test_a_machines_life_is_reserved_and_settled_by_what_it_lived(ledger: Ledger) -> None:
    vm_id = str(uuid4())
    await ledger.vm(vm_id)
    assert (await ledger.spent()).vm_minutes == 60
    await ledger.vm(vm_id, v.RecordDeleted(removed=1), minutes=10.5)
    assert (await ledger.spent()).vm_minutes == 11
    await ledger.vm(vm_id, v.RecordDeleted(removed=1), minutes=50)
    assert (await ledger.spent()).vm_minutes == 11


async def test_a_longer_life_is_reserved_too_and_a_shorter_one_given_back(ledger: Ledger) -> None:
    vm_id = str(uuid4())
    await ledger.vm(vm_id)

    def until(minutes: float) -> v.RecordExtended:
        ends = NOW + timedelta(minutes=minutes)
        return v.RecordExtended(expires_at=ends, requested_by="me", command_id=str(uuid4()))

    await ledger.vm(vm_id, until(100), minutes=50)
    assert (await ledger.spent()).vm_minutes == 100
    with pytest.raises(Verdict) as refused:
        await ledger.vm(vm_id, until(121), minutes=99)
    assert refused.value.code == "vm.quota"
    assert "20 are left" in refused.value.problems[0].message
    await ledger.vm(vm_id, until(70), minutes=60)
    assert (await ledger.spent()).vm_minutes == 70


async def test_organizations_spend_on_their_own_and_who_is_not_metered_has_no_ledger(
    log: EventLog, database: Migrated
) -> None:
    first, second = Ledger(log, database, "guest-a"), Ledger(log, database, "guest-b")
    for _ in range(ALLOWANCE.open_builds):
        await first.build(str(uuid4()))
    await second.build(str(uuid4()))
    assert (await second.spent()).builds == 1
    own = BuildRequest(build_id=str(uuid4()), org_id="local", requested_by="me", recipe={"name": "web"})
    given = RecordInput(build_id=own.build_id, at=NOW, command=b.RequestBuild(request=own))
    await environment().run(RecordActivities(log).record_build, given)
    assert await Ledger(log, database, "local").spent() == Spent()
