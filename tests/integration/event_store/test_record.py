"""The recording activity: a workflow's word becomes events, once."""

from collections.abc import Generator
from dataclasses import replace
from uuid import uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordInput, RecordResult
from domain.build.commands import BuildCommand, RequestBuild, RetryBuild, StartStep
from domain.build.inputs import BuildRequest
from domain.errors import Verdict
from event_store.log import EventLog
from event_store.schema import Migrated
from tests.integration.event_store.builders import START

pytestmark = pytest.mark.integration

BUILD = str(uuid4())
REQUEST = RequestBuild(
    request=BuildRequest(
        build_id=BUILD, org_id="o", requested_by="me", recipe={"name": "web", "baseImage": "debian-bookworm"}
    )
)
START_RESOLVE = StartStep(step="resolve", generation=0)


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


async def record(log: EventLog, command: BuildCommand, *, run: str = "run", activity: str = "1") -> RecordResult:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_run_id=run, activity_id=activity)
    request = RecordInput(build_id=BUILD, at=START, command=command)
    return await environment.run(RecordActivities(log).record_build, request)


async def test_a_command_is_recorded_once_whether_its_activity_or_its_run_is_repeated(log: EventLog) -> None:
    assert await record(log, REQUEST) == RecordResult(version=1, appended=1)
    assert await record(log, REQUEST) == RecordResult(version=1, appended=0)
    assert await record(log, REQUEST, run="after a reset") == RecordResult(version=1, appended=0)
    assert await record(log, START_RESOLVE, activity="2") == RecordResult(version=2, appended=1)
    assert await record(log, START_RESOLVE, run="after a reset", activity="2") == RecordResult(version=2, appended=0)


async def test_a_command_that_does_not_fit_is_a_verdict_and_leaves_nothing(log: EventLog) -> None:
    await record(log, REQUEST)
    with pytest.raises(Verdict):
        await record(log, RetryBuild(generation=1, requested_by="me", command_id="c"), activity="2")
    assert (await record(log, START_RESOLVE, activity="3")).version == 2
