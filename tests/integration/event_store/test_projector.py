"""The projector keeps the read model at the end of the log, whatever happens to it or to its database."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.build.events import BuildEvent
from domain.build.state import BuildState, fold
from domain.errors import Fault
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.projector import POISONED
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from tests.integration.event_store.builders import append, requested, whole_build

pytestmark = pytest.mark.integration

SECONDS = 30.0


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


@pytest.fixture
async def front(database: Migrated) -> AsyncGenerator[FrontDatabase]:
    async with FrontDatabase(database.front_url) as opened:
        yield opened


@asynccontextmanager
async def projector(database: Migrated) -> AsyncGenerator[asyncio.subprocess.Process]:
    """The real process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "event_store.projector",
        env={**os.environ, "DATABASE_URL": database.owner_url, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def shown(front: FrontDatabase, build: UUID, version: int, org: str = "org-a") -> BuildState:
    assert await front.wait_for(org, "builds", str(build), version, SECONDS)
    async with front.org(org) as reads:
        state = await reads.builds.get(str(build))
    assert state is not None
    return state


async def test_a_build_is_shown_as_its_events_say(log: EventLog, front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    events = tuple(whole_build(build))
    async with projector(database):
        for event in events:
            await asyncio.to_thread(append, log, event)
        assert await shown(front, build, len(events)) == fold(events)


async def test_what_was_appended_before_it_started_is_shown_too(
    log: EventLog, front: FrontDatabase, database: Migrated
) -> None:
    builds = [uuid4() for _ in range(80)]  # several batches
    for build in builds:
        append(log, *whole_build(build))
    async with projector(database):
        for build in builds:
            assert (await shown(front, build, 18)).status == "completed"


async def test_killed_again_and_again_it_applies_every_event_exactly_once(
    log: EventLog, front: FrontDatabase, database: Migrated
) -> None:
    builds = [uuid4() for _ in range(30)]
    for round_ in range(3):
        async with projector(database) as process:
            for build in builds[round_ * 10 : round_ * 10 + 10]:
                for event in whole_build(build):
                    await asyncio.to_thread(append, log, event)
            await shown(front, builds[round_ * 10], 1)
            process.send_signal(signal.SIGKILL)
            await process.wait()
    async with projector(database):
        for build in builds:
            assert await shown(front, build, 18) == fold(
                cast("tuple[BuildEvent, ...]", tuple(r.event for r in log.read(build)))
            )


async def test_two_projectors_do_each_others_work_no_harm(
    log: EventLog, front: FrontDatabase, database: Migrated
) -> None:
    async with projector(database), projector(database):
        builds = [uuid4() for _ in range(10)]
        for build in builds:
            for event in whole_build(build):
                await asyncio.to_thread(append, log, event)
        for build in builds:
            assert await shown(front, build, 18) == fold(tuple(whole_build(build)))


async def test_it_survives_the_loss_of_its_connections(
    log: EventLog, front: FrontDatabase, database: Migrated, postgres_url: str
) -> None:
    first, second = uuid4(), uuid4()
    async with projector(database):
        append(log, requested(first))
        await shown(front, first, 1)
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await asyncio.to_thread(append, log, requested(second))
        assert (await shown(front, second, 1)).build_id == str(second)


async def test_it_stops_with_a_status_and_a_reason_at_an_event_that_cannot_be_applied(
    log: EventLog, front: FrontDatabase, database: Migrated
) -> None:
    good, bad, later = uuid4(), uuid4(), uuid4()
    async with projector(database) as process:
        append(log, requested(good))
        await shown(front, good, 1)
        with psycopg.connect(database.owner_url) as connection:
            connection.execute(
                "INSERT INTO event_log.stored_events VALUES (%s, 1, 'build.from_the_future.v9', '{}')", (bad,)
            )
            connection.execute("NOTIFY stored_events")
        _, complaint = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == POISONED
        assert b"build.from_the_future.v9" in complaint
        assert str(bad).encode() in complaint
    append(log, requested(later))
    async with projector(database) as process:
        assert await asyncio.wait_for(process.wait(), SECONDS) == POISONED
    assert not await front.wait_for("org-a", "builds", str(later), 1, 0.01)


async def test_asked_to_stop_it_ends_with_status_0(log: EventLog, front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    async with projector(database) as process:
        append(log, requested(build))
        await shown(front, build, 1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), SECONDS) == 0


async def test_a_rebuild_while_it_works_loses_nothing(log: EventLog, front: FrontDatabase, database: Migrated) -> None:
    builds = [uuid4() for _ in range(20)]

    def work() -> None:
        for build in builds:
            for event in whole_build(build):
                append(log, event)

    async with projector(database):
        working = asyncio.create_task(asyncio.to_thread(work))
        while not working.done():
            await asyncio.to_thread(rebuild_projections, database.owner_url)
        await working
        for build in builds:
            assert await shown(front, build, 18) == fold(tuple(whole_build(build)))


async def test_a_rebuild_names_an_event_of_a_newer_release_and_changes_nothing(
    log: EventLog, front: FrontDatabase, database: Migrated
) -> None:
    known, bad = uuid4(), uuid4()
    append(log, requested(known))
    rebuild_projections(database.owner_url)
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "INSERT INTO event_log.stored_events VALUES (%s, 1, 'build.from_the_future.v9', '{}')", (bad,)
        )
    with pytest.raises(Fault, match=r"log\.unreadable_event") as raised:
        rebuild_projections(database.owner_url)
    assert str(bad) in str(raised.value)
    assert await front.wait_for("org-a", "builds", str(known), 1, SECONDS)
