"""What the real read model and the real log tell of rebuild schedules."""

from uuid import UUID, uuid4

import pytest

from domain.build.events import BuildDeleted, BuildEvent
from domain.errors import Verdict
from domain.rebuild.attempt import Attempt
from domain.rebuild.commands import AnyRebuildCommand, ChangeSchedule, CreateSchedule, DeleteSchedule, RecordLook
from domain.rebuild.decide import decide
from domain.rebuild.facts import RebuildFacts, Times
from domain.rebuild.inputs import Look, Timing
from domain.rebuild.state import fold
from event_store.front import FrontDatabase
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.rebuild_facts import RebuildReads
from event_store.schema import Migrated
from tests.fakes.rebuilds import kept_schedule
from tests.integration.event_store.builders import START, append, cause, whole_build

pytestmark = pytest.mark.integration


def tell(log: EventLog, schedule_id: str, command: AnyRebuildCommand) -> None:
    log.append(UUID(schedule_id), cause(), lambda events: decide(fold(events), command, now=START))


async def test_the_log_tells_of_a_schedule_before_the_read_model_does(database: Migrated) -> None:
    day, often, gone = (str(uuid4()) for _ in range(3))
    with EventLog(database.owner_url) as log:
        reads = RebuildReads(database.owner_url, log)
        for number, schedule_id in enumerate((day, often, gone)):
            tell(log, schedule_id, CreateSchedule(request=kept_schedule(schedule_id, f"org-{number}")))
        tell(log, gone, DeleteSchedule(command_id="d", requested_by="me"))
        rebuild_projections(database.owner_url)
        timing = Timing(every=7200, jitter=60)
        tell(log, often, ChangeSchedule(command_id="c", requested_by="me", timing=timing, paused=True))
        daily = Times(timing=Timing(every=86_400), paused=False)
        assert await reads.times() == {day: daily, often: daily, gone: None}
        state, ended = await reads.recorded(often), await reads.recorded(gone)
        assert state is not None
        assert (state.timing, state.paused, state.deleted) == (timing, True, False)
        assert ended is not None
        assert ended.deleted
        assert await reads.recorded(str(uuid4())) is None
        rebuild_projections(database.owner_url)
        assert (await reads.times())[often] == Times(timing=timing, paused=True)


async def test_a_rerun_of_old_packages_and_a_deleted_build_are_not_the_last_one(database: Migrated) -> None:
    schedule_id = str(uuid4())
    request = kept_schedule(schedule_id, "org-of-reruns")
    old, new, rerun = (uuid4() for _ in range(3))

    def completed(build_id: UUID, minute: int, rerun_of: UUID | None = None) -> list[BuildEvent]:
        first, *rest = whole_build(build_id, org=request.org_id, name="demo", minute=minute)
        again = None if rerun_of is None else str(rerun_of)
        return [first.model_copy(update={"recipe_digest": request.recipe_digest, "rerun_of": again}), *rest]

    with EventLog(database.owner_url) as log:
        reads = RebuildReads(database.owner_url, log)

        async def known() -> RebuildFacts:
            rebuild_projections(database.owner_url)
            facts = await reads.facts(schedule_id)
            assert facts is not None
            return facts

        tell(log, schedule_id, CreateSchedule(request=request))
        append(log, *completed(old, 0))
        append(log, *completed(new, 1))
        append(log, *completed(rerun, 2, rerun_of=old))
        look = Look(outcome="started", build_id=str(new), packages="p", summary="1 package")
        tell(log, schedule_id, RecordLook(look_id="l", look=look))
        facts = await known()
        assert (facts.last_build, facts.attempt) == (
            str(new),
            Attempt(build_id=str(new), fate="completed", words="completed"),
        )
        for build_id, left in ((new, old), (old, rerun), (rerun, None)):
            append(
                log, BuildDeleted(build_id=str(build_id), org_id=request.org_id, at=START, requested_by="me", reason="")
            )
            facts = await known()
            assert facts.last_build == (None if left is None else str(left))
        assert facts.attempt == Attempt(build_id=str(new), fate="over", words="was deleted")


async def test_schedules_come_in_pages_newest_first_without_the_deleted_ones(database: Migrated) -> None:
    org = f"org-{uuid4()}"
    ids = [str(uuid4()) for _ in range(5)]
    with EventLog(database.owner_url) as log:
        for schedule_id in ids:
            tell(log, schedule_id, CreateSchedule(request=kept_schedule(schedule_id, org)))
        tell(log, ids[0], DeleteSchedule(command_id="d", requested_by="me"))
    rebuild_projections(database.owner_url)
    async with FrontDatabase(database.front_url) as front, front.org(org) as reads:
        first = await reads.rebuilds.page(limit=3)
        rest = await reads.rebuilds.page(limit=3, cursor=first.next_cursor)
        assert [len(first.schedules), len(rest.schedules)] == [3, 1]
        # All were made at one moment: then the id decides.
        assert [s.schedule_id for s in (*first.schedules, *rest.schedules)] == sorted(ids[1:], reverse=True)
        assert rest.next_cursor is None
        with pytest.raises(Verdict, match=r"cursor\.invalid"):
            await reads.rebuilds.page(limit=3, cursor="nonsense")
