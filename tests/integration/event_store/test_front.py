"""The front's questions about builds, and its waiting."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import islice
from time import sleep
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from domain.artifacts import Artifact, Blob, Verification
from domain.build.events import ArtifactsPublished, BuildDeleted, BuildFailed, BuildRequested
from domain.build.names import BuildTag
from domain.errors import Fault, Problem, Verdict
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from tests.integration.event_store.builders import START, append, requested, whole_build

pytestmark = pytest.mark.integration


@pytest.fixture
async def front(database: Migrated) -> AsyncGenerator[FrontDatabase]:
    async with FrontDatabase(database.front_url) as opened:
        yield opened


def given(database: Migrated, *builds: BuildRequested) -> None:
    with EventLog(database.owner_url) as log:
        for build in builds:
            append(log, build)
    rebuild_projections(database.owner_url)


async def test_a_build_of_another_organization_is_as_absent_as_none(front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    given(database, requested(build, org="org-a"))
    async with front.org("org-a") as reads:
        found = await reads.builds.get(str(build))
        assert found is not None
        assert (found.org_id, found.version) == ("org-a", 1)
    async with front.org("org-b") as reads:
        assert await reads.builds.get(str(build)) is None
        assert await reads.builds.get("no uuid at all") is None
        assert (await reads.builds.page(limit=10)).builds == ()


async def test_pages_are_newest_first_and_miss_nothing(front: FrontDatabase, database: Migrated) -> None:
    many = [requested(UUID(int=n), minute=n // 3) for n in range(25)]  # some in the same minute
    given(database, *many, requested(uuid4(), org="org-b"))
    seen, cursor = list[str](), None
    async with front.org("org-a") as reads:
        while True:
            page = await reads.builds.page(limit=4, cursor=cursor)
            seen += [b.build_id for b in page.builds]
            cursor = page.next_cursor
            if cursor is None:
                break
    newest_first = sorted(many, key=lambda b: (b.at, b.build_id), reverse=True)
    assert seen == [b.build_id for b in newest_first]


async def test_a_page_can_be_narrowed_by_status_and_name(front: FrontDatabase, database: Migrated) -> None:
    web, mail = uuid4(), uuid4()
    with EventLog(database.owner_url) as log:
        append(log, *whole_build(web, name="web"))
        append(log, requested(mail, name="mail"))
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        assert [b.build_id for b in (await reads.builds.page(limit=9, status="completed")).builds] == [str(web)]
        assert [b.build_id for b in (await reads.builds.page(limit=9, name="mail")).builds] == [str(mail)]
        assert (await reads.builds.page(limit=9, name="mail", status="completed")).builds == ()


async def test_tags_and_beginnings_find_the_organizations_own_builds(front: FrontDatabase, database: Migrated) -> None:
    good, doubtful, foreign = (UUID(f"{digit}1111111-1111-4111-8111-111111111111") for digit in "ab0")
    with EventLog(database.owner_url) as log:
        append(log, *whole_build(good, name="web"), _images(good, "verified"))
        append(log, *whole_build(doubtful, name="mail", minute=1), _images(doubtful, "unverified"))
        append(log, *whole_build(foreign, org="org-b", minute=2))
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        assert await reads.builds.newest(BuildTag()) == str(doubtful)
        assert await reads.builds.newest(BuildTag(verified=True)) == str(good)
        assert await reads.builds.newest(BuildTag(recipe="web")) == str(good)
        assert await reads.builds.newest(BuildTag(recipe="mail", verified=True)) is None
        assert await reads.builds.beginning("a11", limit=5) == (str(good),)
        assert await reads.builds.beginning("011", limit=5) == ()


async def test_builds_are_found_by_how_their_id_or_name_begins_newest_first(
    front: FrontDatabase, database: Migrated
) -> None:
    builds = [requested(UUID(int=n), name=f"n{n:02}", minute=n) for n in range(60)]
    web = requested(UUID("ab" * 16), name="web", minute=99)
    given(database, *builds, web, requested(UUID("cd" * 16), name="n07", org="org-b"))
    gone = builds[8].build_id
    with EventLog(database.owner_url) as log:
        append(log, BuildDeleted(build_id=gone, org_id="org-a", at=START, requested_by="me", reason="old"))
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        called = reads.builds.called
        assert await called("n07", limit=9) == (builds[7].build_id,)
        assert await called(builds[3].build_id, limit=9) == (builds[3].build_id,)
        assert await called("ab", limit=9) == (web.build_id,)
        assert await called("", limit=2) == (web.build_id, builds[59].build_id)
        assert await called("n0", limit=99) == tuple(builds[n].build_id for n in (9, 7, 6, 5, 4, 3, 2, 1, 0))
        assert len(await called("00000000", limit=99)) == 59
        for nobody in ("N07", "n0%", "n0_", "n07 ", "\x7f"):
            assert await called(nobody, limit=9) == ()


def _images(build: UUID, iso: Verification) -> ArtifactsPublished:
    blob = Blob(digest="d" * 64, bytes=1)
    images = (
        Artifact(kind="qcow2", name="x.qcow2", blob=blob, verification="verified"),
        Artifact(kind="iso", name="x.iso", blob=blob, verification=iso),
        Artifact(kind="recipe", name="recipe.json", blob=blob),
    )
    return ArtifactsPublished(build_id=str(build), org_id="org-a", at=START, generation=0, artifacts=images)


@pytest.mark.parametrize("cursor", ["?", "e30", "W10", "x" * 999, "WyJhIiwiYiJd", "é"])
async def test_a_cursor_from_elsewhere_is_refused(front: FrontDatabase, cursor: str) -> None:
    async with front.org("org-a") as reads:
        with pytest.raises(Verdict) as refused:
            await reads.builds.page(limit=1, cursor=cursor)
    assert refused.value.code == "cursor.invalid"


async def test_durations_are_medians_of_completed_builds(front: FrontDatabase, database: Migrated) -> None:
    with EventLog(database.owner_url) as log:
        append(log, *whole_build(uuid4()))
        append(log, *whole_build(uuid4()))
        append(log, requested(uuid4()))
        append(log, *islice(whole_build(uuid4()), 2))
        append(log, requested(uuid4(), org="org-c"))
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        found = {d.step: d for d in await reads.builds.durations("web")}
        assert found["assemble"].seconds == 4.0
        assert found["assemble"].samples == 2
        assert found == {d.step: d for d in await reads.builds.durations("never built, so any build tells")}
        assert await reads.builds.outlook("web") == (1, 1, tuple(found.values()))
    async with front.org("org-b") as reads:
        assert await reads.builds.outlook("web") == (0, 0, ())


async def test_bytes_that_jsonb_does_not_take_are_shown_replaced(front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    failed = BuildFailed(
        build_id=str(build),
        org_id="org-a",
        at=START,
        step="boot",
        generation=0,
        kind="verdict",
        problems=(Problem(code="boot.failed", message="a\0b \\u0000 \\\0"),),
        retry_until=START,
    )
    with EventLog(database.owner_url) as log:
        append(log, requested(build), failed)
    rebuild_projections(database.owner_url)
    async with front.org("org-a") as reads:
        state = await reads.builds.get(str(build))
    assert state is not None
    assert state.failure is not None
    assert state.failure.problems[0].message == "a\ufffdb \\u0000 \\\ufffd"


async def test_waiting_for_a_version_that_is_there_does_not_wait(front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    given(database, requested(build))
    assert await front.wait_for("org-a", "builds", str(build), 1, 30)


async def test_another_organization_waits_in_vain(front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    given(database, requested(build, org="org-a"))
    assert not await front.wait_for("org-b", "builds", str(build), 1, 0.1)


async def test_who_waits_is_told_even_if_the_notice_was_lost(front: FrontDatabase, database: Migrated) -> None:
    build = uuid4()
    waiting = asyncio.create_task(front.wait_for("org-a", "builds", str(build), 1, 30))
    await asyncio.to_thread(given, database, requested(build))
    assert await waiting


async def test_the_front_goes_on_after_its_connections_were_cut(
    front: FrontDatabase, database: Migrated, postgres_url: str
) -> None:
    build = uuid4()
    given(database, requested(build))
    assert await front.wait_for("org-a", "builds", str(build), 1, 30)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    async with front.org("org-a") as reads:
        assert await reads.builds.get(str(build)) is not None


async def test_transactions_end_though_nobody_waits_for_it(front: FrontDatabase, postgres_url: str) -> None:
    for _ in range(20):
        async with front.org("org-a") as reads:
            assert await reads.builds.get("no") is None
    with suppress(ZeroDivisionError):
        async with front.org("org-a") as reads:
            assert await reads.builds.get("no") is None
            raise ZeroDivisionError
    await until_at_rest(postgres_url)


async def test_who_is_cancelled_leaves_no_transaction_open(front: FrontDatabase, postgres_url: str) -> None:
    """Also before a question is sent, where psycopg lets others go on when it had the word for a while."""
    asked = asyncio.Event()

    async def reading() -> None:
        async with front.org("org-a") as reads:
            assert await reads.builds.get("no") is None
            asked.set()
            sleep(0.02)  # noqa: ASYNC251 - meant to hold everybody up
            assert await reads.builds.get("no") is None

    for _ in range(5):
        asked.clear()
        task = asyncio.create_task(reading())
        await asked.wait()
        while not task.done():  # as anyio does, at each turn of the loop
            task.cancel()
            await asyncio.sleep(0)
    await until_at_rest(postgres_url)
    async with front.org("org-a") as reads:
        assert await reads.builds.get("no") is None


async def until_at_rest(postgres_url: str) -> None:
    """Wait until the front has connections, and none of them works or is in a transaction."""
    query = "SELECT state FROM pg_stat_activity WHERE application_name = 'openfactory front'"
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        while {row[0] for row in await (await admin.execute(query)).fetchall()} != {"idle"}:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)


async def test_the_front_cannot_write_by_mistake(front: FrontDatabase) -> None:
    async def written() -> None:
        async with front.org("org-a") as reads:
            made = await reads.builds._connection.execute("CREATE TABLE x ()")  # pyright: ignore[reportPrivateUsage] - no query writes
            await made.fetchone()

    await front.ping()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await written()


async def test_a_database_that_is_away_is_a_fault(database: Migrated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("event_store.front._POOL_SECONDS", 0.2)
    async with FrontDatabase(make_conninfo(database.front_url, port=9)) as front:
        with pytest.raises(Fault) as failed:
            await front.ping()
    assert failed.value.code == "database.unavailable"
