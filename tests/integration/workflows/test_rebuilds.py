"""Scheduled rebuilds on a real Temporal server: its own schedule, the looks that it starts, and their builds."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from temporalio.client import ScheduleUpdate, ScheduleUpdateInput
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.imaging.models import CompareResult
from domain.errors import Fault
from domain.rebuild.commands import ChangeSchedule, DeleteSchedule
from domain.rebuild.decide import decide
from domain.rebuild.inputs import Timing
from domain.rebuild.names import temporal_id
from tests.integration.workflows.rebuild_office import UPDATE, Office, open_office
from tests.integration.workflows.test_vm_losses import until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def office(environment: WorkflowEnvironment) -> AsyncGenerator[Office]:
    async with open_office(environment) as made:
        yield made


async def test_a_schedule_is_in_the_timetable_as_the_log_has_it(office: Office) -> None:
    entry = await office.entry()
    assert entry.schedule.spec.intervals[0].every.total_seconds() == 86_400
    assert await office.rebuilds.next_look(office.schedule_id) is not None
    pause = ChangeSchedule(command_id="c", requested_by="me", paused=True)
    await office.rebuilds.change(office.past.state, pause)
    assert office.past.state.paused
    assert (await office.entry()).schedule.state.paused
    assert await office.rebuilds.next_look(office.schedule_id) is None


async def test_an_entry_that_is_gone_is_made_again(office: Office) -> None:
    await office.settled()
    await office.handle.delete()
    assert await office.rebuilds.next_look(office.schedule_id) is None
    await office.mended()
    assert await office.rebuilds.next_look(office.schedule_id) is not None
    assert (await office.look()).outcome == "unchanged"
    await office.settled()


async def test_an_entry_that_differs_follows_the_log(office: Office) -> None:
    times = ChangeSchedule(command_id="c", requested_by="me", timing=Timing(every=7200, jitter=60), paused=True)
    office.past.stream.extend(decide(office.past.state, times, now=datetime.now(UTC)))  # recorded, never applied
    assert (await office.reconcile()).mended == (office.schedule_id,)
    entry = (await office.entry()).schedule
    assert entry.state.paused
    assert [spec.every.total_seconds() for spec in entry.spec.intervals] == [7200]
    assert entry.spec.jitter.total_seconds() == 60
    await office.settled()

    def other(known: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = known.description.schedule
        schedule.spec.jitter = None
        return ScheduleUpdate(schedule=schedule)

    await office.handle.update(other)
    await office.mended()
    assert (await office.entry()).schedule.spec.jitter.total_seconds() == 60


async def test_the_entry_of_a_deleted_schedule_is_removed(office: Office) -> None:
    await office.settled()
    end = DeleteSchedule(command_id="d", requested_by="me")
    office.past.stream.extend(decide(office.past.state, end, now=datetime.now(UTC)))
    assert (await office.reconcile()).mended == (office.schedule_id,)
    assert await office.rebuilds.next_look(office.schedule_id) is None
    with pytest.raises(RPCError, match="not found"):
        await office.entry()
    await office.settled()


async def test_a_change_that_is_late_does_not_undo_a_later_one(office: Office) -> None:
    pause = ChangeSchedule(command_id="later", requested_by="me", paused=True)
    before = office.past.state
    office.past.meanwhile = [pause]  # recorded by another one just when the first has read the log
    await office.rebuilds.change(before, ChangeSchedule(command_id="c", requested_by="me", timing=Timing(every=7200)))
    assert office.past.state.paused
    entry = (await office.entry()).schedule
    assert entry.state.paused
    assert entry.spec.intervals[0].every.total_seconds() == 7200


async def test_without_updates_nothing_is_built(office: Office) -> None:
    look = await office.look()
    assert (look.outcome, look.build_id) == ("unchanged", None)
    assert not office.past.builds.streams


async def test_an_update_starts_one_build_that_says_why(office: Office) -> None:
    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    look = await office.look()
    assert look.outcome == "started"
    assert look.build_id is not None
    build = office.past.builds.state(look.build_id)
    assert build.why == "1 of 200 packages changed since build before: openssl 3.0.1 → 3.0.2"
    assert build.requested_by == "schedule of operator"
    assert build.plan == office.past.state.plan  # which keeps its files, and is asked for its quota
    again = await office.look()
    assert (again.outcome, again.build_id) == ("already_building", look.build_id)
    assert len(office.past.builds.streams) == 1


async def test_a_recipe_that_was_never_built_is_built(office: Office) -> None:
    office.past.last_build = None
    look = await office.look()  # finding no change: there is nothing to compare with
    assert (look.outcome, look.summary) == (
        "started",
        "there is no completed build of this recipe; it has 200 packages",
    )


async def test_a_build_under_way_is_not_joined_by_another(office: Office) -> None:
    office.past.building = "running"
    look = await office.look()
    assert (look.outcome, look.build_id) == ("already_building", "running")


async def test_a_build_that_began_while_packages_were_solved_is_not_joined_by_another(office: Office) -> None:
    async def somebody_builds() -> None:
        office.past.building = "theirs"

    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    office.past.while_solving = somebody_builds
    look = await office.look()
    assert (look.outcome, look.build_id) == ("already_building", "theirs")
    assert not office.past.builds.streams


async def test_a_schedule_that_was_deleted_while_it_looked_starts_nothing(office: Office) -> None:
    async def somebody_deletes() -> None:
        await office.rebuilds.delete(office.past.state, DeleteSchedule(command_id="d", requested_by="me"))

    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    office.past.while_solving = somebody_deletes
    await office.rebuilds.look_now(office.schedule_id)
    looks = f'WorkflowType = "RebuildWorkflow" AND WorkflowId STARTS_WITH "{temporal_id(office.schedule_id)}"'

    async def over() -> bool:
        ended = f'{looks} AND ExecutionStatus = "Completed"'
        return bool([run async for run in office.client.list_workflows(ended)])

    await until(over)
    assert not office.past.builds.streams


async def test_a_mirror_that_does_not_answer_is_asked_again(office: Office) -> None:
    office.past.failures = [Fault.because("mirror.unreachable", "no answer")]
    assert (await office.look()).outcome == "unchanged"
