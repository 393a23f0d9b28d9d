"""The recording activity: a workflow's word becomes events, once."""

import asyncio
from collections.abc import Generator
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordInput, RecordResult
from domain.build.commands import BuildCommand, CancelBuild, RequestBuild, RetryBuild, StartStep
from domain.build.inputs import BuildRequest
from domain.errors import Verdict
from domain.plan import plan_of
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
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


async def record(
    log: EventLog, command: BuildCommand, *, run: str = "run", activity: str = "1", build: str = BUILD
) -> RecordResult:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_run_id=run, activity_id=activity)
    request = RecordInput(build_id=build, at=START, command=command)
    return await environment.run(RecordActivities(log).record_build, request)


async def test_a_command_is_recorded_once_whether_its_activity_or_its_run_is_repeated(log: EventLog) -> None:
    assert await record(log, REQUEST) == RecordResult(version=1, appended=1)
    assert await record(log, REQUEST) == RecordResult(version=1, appended=0)
    assert await record(log, REQUEST, run="after a reset") == RecordResult(version=1, appended=0)
    assert await record(log, START_RESOLVE, activity="2") == RecordResult(version=2, appended=1)
    assert await record(log, START_RESOLVE, run="after a reset", activity="2") == RecordResult(version=2, appended=0)


async def test_another_command_under_the_number_of_a_lost_activity_is_recorded(log: EventLog) -> None:
    await record(log, REQUEST)
    await record(log, START_RESOLVE, activity="2")
    # The workflow task that came by this was lost, and its repeat came by a signal first.
    cancel = CancelBuild(requested_by="me", reason="x")
    assert await record(log, cancel, activity="2") == RecordResult(version=3, appended=1)
    assert await record(log, cancel, activity="2") == RecordResult(version=3, appended=0)


async def test_a_new_aggregate_is_seen_at_once_without_a_projector(log: EventLog, database: Migrated) -> None:
    async with FrontDatabase(database.front_url) as front:
        async with front.org("o") as reads:
            assert await reads.builds.get(BUILD) is None  # and the front listens by now
        waiting = asyncio.create_task(front.wait_for("o", "builds", BUILD, 1, 10.0))
        await record(log, REQUEST)
        assert await waiting
        await record(log, START_RESOLVE, activity="2")
        async with front.org("o") as reads:
            seen = await reads.builds.get(BUILD)
        assert seen is not None
        assert (seen.version, seen.status, seen.recipe) == (1, "pending", REQUEST.request.recipe)
        async with front.org("another") as reads:
            assert await reads.builds.get(BUILD) is None
    assert rows(database) == [(BUILD, 1)]
    rebuild_projections(database.owner_url)
    assert rows(database) == [(BUILD, 2)]


async def test_an_aggregate_that_is_refused_is_not_seen(log: EventLog, database: Migrated) -> None:
    refused = REQUEST.model_copy(update={"request": REQUEST.request.model_copy(update={"plan": "guest"})})
    spent = plan_of("guest").allowance
    assert spent is not None
    for n in range(min(spent.builds_per_day, spent.open_builds)):
        other = str(uuid4())
        asked = refused.model_copy(update={"request": refused.request.model_copy(update={"build_id": other})})
        await record(log, asked, build=other, activity=f"other {n}")
    with pytest.raises(Verdict, match=r"build\.quota"):
        await record(log, refused)
    assert BUILD not in dict(rows(database))


def rows(database: Migrated) -> list[tuple[str, int]]:
    """Read which builds the read model has, at which version."""
    with psycopg.connect(database.owner_url) as connection:
        return connection.execute("SELECT build_id, version FROM read_model.builds").fetchall()


async def test_a_command_that_does_not_fit_is_a_verdict_and_leaves_nothing(log: EventLog) -> None:
    await record(log, REQUEST)
    with pytest.raises(Verdict):
        await record(log, RetryBuild(generation=1, requested_by="me", command_id="c"), activity="2")
    assert (await record(log, START_RESOLVE, activity="3")).version == 2
