"""Suites and test runs in the real log and read models: recorded, folded, listed, kept apart."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordSuiteInput, RecordTestRunInput
from domain.errors import Verdict
from domain.suite.commands import AnySuiteCommand, BindTargets, CreateSuite
from domain.suite.inputs import Binding, SuiteRequest
from domain.suite.parse import parse_suite
from domain.test_run.commands import AnyTestRunCommand, FinishRun, RequestRun
from domain.test_run.inputs import RunPlan, RunRequest
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from tests.fakes.suites import SUITE, ended_case, plan_of_cases
from tests.integration.event_store.builders import START

pytestmark = pytest.mark.integration


@pytest.fixture
async def front(database: Migrated) -> AsyncGenerator[FrontDatabase]:
    async with FrontDatabase(database.front_url) as opened:
        yield opened


class Recorder:
    """Appends as the core worker does, each command by an activity of its own."""

    def __init__(self, log: EventLog) -> None:
        self._activities = RecordActivities(log)
        self._number = 0
        self.minute = 0

    async def suite(self, suite_id: str, *commands: AnySuiteCommand) -> int:
        version = 0
        for command in commands:
            request = RecordSuiteInput(stream_id=suite_id, at=START, command=command)
            version = (await self._run(self._activities.record_suite, request)).version
        return version

    async def run(self, run_id: str, *commands: AnyTestRunCommand) -> int:
        version = 0
        for command in commands:
            at = START + timedelta(minutes=self.minute)
            request = RecordTestRunInput(stream_id=run_id, at=at, command=command)
            version = (await self._run(self._activities.record_test_run, request)).version
        return version

    async def _run(self, activity: Any, request: object) -> Any:
        environment = ActivityEnvironment()
        self._number += 1
        environment.info = replace(environment.info, workflow_run_id="run", activity_id=str(self._number))
        return await environment.run(activity, request)


def create(suite_id: str, *, org: str = "org-a") -> CreateSuite:
    document = parse_suite(SUITE).document
    return CreateSuite(request=SuiteRequest(suite_id=suite_id, org_id=org, requested_by="me", document=document))


def ask(run_id: str, plan: RunPlan | None = None, *, org: str = "org-a") -> RequestRun:
    request = RunRequest(
        run_id=run_id, org_id=org, requested_by="me", input_digest="d", plan=plan or plan_of_cases("web")
    )
    return RequestRun(request=request)


async def test_a_suite_is_recorded_bound_and_read_by_its_own_organization_only(
    front: FrontDatabase, database: Migrated
) -> None:
    suite_id = str(uuid4())
    bind = BindTargets(
        command_id="c",
        requested_by="me",
        expected_version=1,
        bindings=(Binding(slot="primary", source="build", source_id="b"),),
    )
    with EventLog(database.owner_url) as log:
        recorder = Recorder(log)
        assert await recorder.suite(suite_id, create(suite_id), create(suite_id), bind, bind) == 2
        late = bind.model_copy(update={"command_id": "d", "bindings": ()})
        with pytest.raises(Verdict, match=r"suite\.version_conflict"):
            await recorder.suite(suite_id, late)
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        suite = await reads.suites.get(suite_id)
        assert suite is not None
        assert ([binding.slot for binding in suite.bindings], await reads.suites.version(suite_id)) == (["primary"], 2)
        assert (await reads.suites.page(limit=5, name="smoke")).suites == (suite,)
        assert (await reads.suites.page(limit=5, name="other")).suites == ()
    async with front.org("org-b") as reads:
        assert await reads.suites.get(suite_id) is None
        assert (await reads.suites.page(limit=5)).suites == ()


async def test_runs_are_listed_by_summary_and_compared_with_the_one_before(
    front: FrontDatabase, database: Migrated
) -> None:
    ids = [str(UUID(int=n)) for n in range(1, 6)]
    with EventLog(database.owner_url) as log:
        recorder = Recorder(log)
        for number, run_id in enumerate(ids):
            recorder.minute = number
            nul = ended_case("web", passed=number % 2 == 0, found="binary \0 output")
            await recorder.run(run_id, ask(run_id), *nul, FinishRun())
        await recorder.run(str(UUID(int=9)), ask(str(UUID(int=9)), org="org-b"))
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        first = await reads.test_runs.page(limit=3)
        rest = await reads.test_runs.page(limit=3, cursor=first.next_cursor)
        assert [run.run_id for run in (*first.runs, *rest.runs)] == ids[::-1]
        assert rest.next_cursor is None
        assert [run.run_id for run in (await reads.test_runs.page(limit=9, status="failed")).runs] == [ids[3], ids[1]]
        assert (await reads.test_runs.page(limit=9, kind="verification")).runs == ()
        assert len((await reads.test_runs.page(limit=9, target_id="s1")).runs) == 5
        name = first.runs[0].name
        assert await reads.test_runs.called(name[:2], limit=4) == tuple(ids[:0:-1])
        assert await reads.test_runs.called(ids[2], limit=4) == (ids[2],)
        assert await reads.test_runs.called(f"{name}-", limit=4) == ()
        newest = await reads.test_runs.get(ids[4])
        assert newest is not None
        previous = await reads.test_runs.previous(newest)
        assert previous is not None
        assert (previous.run_id, previous.status) == (ids[3], "failed")
        assert "\0" not in previous.model_dump_json()
        oldest = await reads.test_runs.get(ids[0])
        assert oldest is not None
        assert await reads.test_runs.previous(oldest) is None
    async with front.org("org-b") as reads:
        assert await reads.test_runs.get(ids[0]) is None


async def test_a_verification_is_compared_with_the_one_before_of_the_same_name(
    front: FrontDatabase, database: Migrated
) -> None:
    ids = [str(UUID(int=n)) for n in range(1, 3)]
    with EventLog(database.owner_url) as log:
        recorder = Recorder(log)
        for number, run_id in enumerate(ids):
            recorder.minute = number
            plan = plan_of_cases("boot", target=f"build-{number}", kind="verification")
            await recorder.run(run_id, ask(run_id, plan), *ended_case("boot"), FinishRun())
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        newest = await reads.test_runs.get(ids[1])
        assert newest is not None
        previous = await reads.test_runs.previous(newest)
        assert previous is not None
        assert previous.run_id == ids[0]
        last = await reads.test_runs.last(newest.plan)
        assert last is not None
        assert last.run_id == ids[1]
