"""What the real read model and the real log tell of rebuild schedules."""

from uuid import UUID, uuid4

import pytest

from domain.rebuild.commands import AnyRebuildCommand, ChangeSchedule, CreateSchedule, DeleteSchedule
from domain.rebuild.decide import decide
from domain.rebuild.facts import Times
from domain.rebuild.inputs import Timing
from domain.rebuild.state import fold
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.rebuild_facts import RebuildReads
from event_store.schema import Migrated
from tests.fakes.rebuilds import kept_schedule
from tests.integration.event_store.builders import START, cause

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
