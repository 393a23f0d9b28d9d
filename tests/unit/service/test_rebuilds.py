"""Rebuild schedules as callers see them."""

from datetime import timedelta

import pytest

from domain.errors import Verdict
from domain.plan import plan_of
from domain.rebuild.commands import RecordLook
from domain.rebuild.inputs import Look
from service.admission.credentials import OPERATOR
from service.rebuilds import (
    ScheduleChange,
    Times,
    create_rebuild_schedule,
    delete_rebuild_schedule,
    list_rebuild_schedules,
    update_rebuild_schedule,
)
from tests.fakes.factory import STRANGER, World, recipe_document
from tests.fakes.rebuilds import AT

RECIPE = recipe_document()
DAILY = Times(every_hours=24)


async def test_a_schedule_shows_when_it_looks_next_and_what_it_found_last(world: World) -> None:
    view = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, DAILY)
    assert (view.every_hours, view.next_run, view.last) == (24, AT + timedelta(days=1), None)
    look = Look(outcome="unchanged", packages="p", summary="all 200 packages are as in build b")
    world.rebuilds.do(view.schedule_id, RecordLook(look_id="l", look=look))
    (shown,) = (await list_rebuild_schedules(world.factory, OPERATOR)).schedules
    assert (shown.last, shown.last_run) == (look, AT)
    assert (await list_rebuild_schedules(world.factory, STRANGER)).schedules == ()


async def test_the_same_key_gives_the_same_schedule_and_is_refused_for_another(world: World) -> None:
    first = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, DAILY, request_key="k")
    again = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, DAILY, request_key="k")
    assert (again.schedule_id, again.replayed) == (first.schedule_id, True)
    with pytest.raises(Verdict, match=r"request_key\.reused"):
        await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, Times(every_hours=48), request_key="k")


async def test_pausing_going_on_and_looking_at_once(world: World) -> None:
    made = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, DAILY)

    async def changed(change: ScheduleChange) -> object:
        return await update_rebuild_schedule(world.factory, OPERATOR, made.schedule_id, change)

    paused = await update_rebuild_schedule(world.factory, OPERATOR, made.schedule_id, ScheduleChange(paused=True))
    assert (paused.paused, paused.next_run) == (True, None)
    await changed(ScheduleChange(run_now=True))
    assert world.rebuilds.looked == [made.schedule_id]
    sooner = await update_rebuild_schedule(
        world.factory, OPERATOR, made.schedule_id, ScheduleChange(paused=False, every_hours=12)
    )
    assert (sooner.paused, sooner.every_hours) == (False, 12)
    with pytest.raises(Verdict, match=r"rebuild\.nothing_to_do"):
        await changed(ScheduleChange())


async def test_a_key_that_changed_a_schedule_before_says_that_it_changes_nothing_again(world: World) -> None:
    made = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, DAILY)

    async def changed(change: ScheduleChange) -> tuple[bool, bool]:
        view = await update_rebuild_schedule(world.factory, OPERATOR, made.schedule_id, change, request_key="k")
        return view.paused, view.replayed

    assert await changed(ScheduleChange(paused=True)) == (True, False)
    assert await changed(ScheduleChange(paused=True)) == (True, True)
    assert await changed(ScheduleChange(paused=False, run_now=True)) == (True, True)
    assert world.rebuilds.looked == []


@pytest.mark.parametrize(("chosen", "then"), [(1.0, 1.0), (None, 2 * 24 * 60 / 20)])
async def test_a_new_interval_leaves_a_jitter_that_was_chosen(world: World, chosen: float | None, then: float) -> None:
    times = Times(every_hours=24, jitter_minutes=chosen)
    made = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, times)
    slower = ScheduleChange(every_hours=48)
    assert (await update_rebuild_schedule(world.factory, OPERATOR, made.schedule_id, slower)).jitter_minutes == then


async def test_a_plan_bounds_how_many_and_how_often(world: World) -> None:
    caller = OPERATOR.model_copy(update={"plan": "free"})
    with pytest.raises(Verdict, match=r"rebuild\.over_plan"):
        await create_rebuild_schedule(world.factory, caller, RECIPE, Times(every_hours=1))
    for _ in range(plan_of("free").schedules):
        await create_rebuild_schedule(world.factory, caller, RECIPE, DAILY)
    with pytest.raises(Verdict, match=r"rebuild\.quota"):
        await create_rebuild_schedule(world.factory, caller, RECIPE, DAILY)


async def test_a_jitter_beyond_the_interval_is_told_with_all_else_that_is_wrong(world: World) -> None:
    caller = OPERATOR.model_copy(update={"plan": "pro"})
    with pytest.raises(Verdict) as refusal:
        await create_rebuild_schedule(world.factory, caller, RECIPE, Times(every_hours=1, jitter_minutes=90))
    assert [problem.code for problem in refusal.value.problems] == ["rebuild.over_plan", "rebuild.jitter"]


async def test_a_deleted_schedule_is_gone_from_the_list_and_deleting_it_again_is_harmless(world: World) -> None:
    made = await create_rebuild_schedule(world.factory, OPERATOR, RECIPE, DAILY)
    assert (await delete_rebuild_schedule(world.factory, OPERATOR, made.schedule_id)).deleted
    assert (await delete_rebuild_schedule(world.factory, OPERATOR, made.schedule_id)).replayed
    assert (await list_rebuild_schedules(world.factory, OPERATOR)).schedules == ()
    with pytest.raises(Verdict, match=r"rebuild\.not_found"):
        await update_rebuild_schedule(world.factory, OPERATOR, made.schedule_id, ScheduleChange(paused=True))


async def test_many_schedules_come_in_pages(world: World) -> None:
    for number in range(5):
        await create_rebuild_schedule(world.factory, OPERATOR, {**RECIPE, "name": f"r{number}"}, DAILY)
    first = await list_rebuild_schedules(world.factory, OPERATOR, limit=3)
    last = await list_rebuild_schedules(world.factory, OPERATOR, limit=3, cursor=first.next_cursor)
    assert [s.name for s in (*first.schedules, *last.schedules)] == [f"r{number}" for number in reversed(range(5))]
    assert last.next_cursor is None
