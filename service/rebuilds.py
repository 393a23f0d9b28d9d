"""Rebuild schedules: recipes that are looked at again and again, and built when their packages have updates."""

import asyncio
from contextlib import suppress
from datetime import datetime

from domain.budget import ROW_CHARACTERS
from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.plan import check_schedule, check_schedules, plan_of
from domain.rebuild.commands import ChangeSchedule, CreateSchedule, DeleteSchedule
from domain.rebuild.inputs import Look, ScheduleRequest, Timing
from domain.rebuild.state import ScheduleState
from domain.rebuild.views import SchedulePage, ScheduleView
from domain.text import clean_untrusted
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id, is_build_id
from service.permissions import require
from service.recipe_source import RecipeDocument, canonical_recipe, understood

MOST_SCHEDULES = 30
LONGEST_HOURS = 24 * 31
_HOUR = 3600
_SUMMARY = 600
_FOLLOW = "Call list_rebuild_schedules to see when it looks and what it found."


class Times(Value):
    """How often, as people say it."""

    every_hours: float
    jitter_minutes: float | None = None

    @property
    def timing(self) -> Timing:
        """The same in seconds; without a wish the jitter is a twentieth, so that schedules spread."""
        every = round(self.every_hours * _HOUR)
        jitter = usual_jitter(every) if self.jitter_minutes is None else round(self.jitter_minutes * 60)
        return Timing(every=every, jitter=jitter)


def usual_jitter(every: int) -> int:
    """Tell the jitter of who has no wish, in seconds."""
    return every // 20


async def create_rebuild_schedule(
    factory: Factory, caller: Caller, document: RecipeDocument, times: Times, *, request_key: str | None = None
) -> ScheduleView:
    """Have a recipe looked at from now on. The same request key with the same input gives the same schedule.

    Raises:
        Verdict: what is wrong with the recipe, `rebuild.over_plan`, `rebuild.quota`, or `request_key.reused`.

    """
    require(caller, "create_rebuild_schedule")
    recipe = canonical_recipe(await understood(factory, caller, document))
    known = request_key is not None
    request = ScheduleRequest(
        schedule_id=factory.new_id()
        if request_key is None
        else derived_id(caller.org_id, "create_rebuild_schedule", request_key),
        org_id=caller.org_id,
        requested_by=caller.subject,
        plan=caller.plan,
        recipe=recipe,
        timing=_allowed(caller, times),
    )
    earlier = await _get(factory, caller, request.schedule_id) if known else None
    if earlier is not None:
        _same_input(earlier, request)
        return (await _shown(factory, earlier)).model_copy(update={"replayed": True})
    async with factory.reads.org(caller.org_id) as reads:
        problems = check_schedules(plan_of(caller.plan), await reads.rebuilds.count())
    if problems:
        raise Verdict(*problems)
    version = await factory.rebuilds.create(CreateSchedule(request=request))
    met = await _seen(factory, caller, request.schedule_id, version)
    if met is None:
        return _accepted(request, version)
    _same_input(met, request)
    return await _shown(factory, met)


async def list_rebuild_schedules(
    factory: Factory, caller: Caller, *, limit: int = 10, cursor: str | None = None
) -> SchedulePage:
    """List the organization's schedules, newest first, each with its last and its next look.

    Raises:
        Verdict: `cursor.invalid`.

    """
    require(caller, "list_rebuild_schedules")
    async with factory.reads.org(caller.org_id) as reads:
        page = await reads.rebuilds.page(limit=min(limit, MOST_SCHEDULES), cursor=cursor)
    shown = await asyncio.gather(*(_shown(factory, state) for state in page.schedules))
    return SchedulePage(schedules=tuple(map(_row, shown)), next_cursor=page.next_cursor)


class ScheduleChange(Value):
    """What is to be another; what is `None` stays. `run_now` looks at once, whatever the times say."""

    every_hours: float | None = None
    jitter_minutes: float | None = None
    paused: bool | None = None
    run_now: bool = False

    def times_from(self, now: Timing) -> Times | None:
        """Tell the new times, if they are to be others than `now`; what is not said about them stays as it is.

        A jitter that nobody chose goes with the interval.
        """
        if self.every_hours is None and self.jitter_minutes is None:
            return None
        chosen = None if now.jitter == usual_jitter(now.every) else now.jitter / 60
        jitter = chosen if self.jitter_minutes is None else self.jitter_minutes
        return Times(every_hours=self.every_hours or now.every / _HOUR, jitter_minutes=jitter)


async def update_rebuild_schedule(
    factory: Factory, caller: Caller, schedule_id: str, change: ScheduleChange, *, request_key: str | None = None
) -> ScheduleView:
    """Change when a schedule looks, pause it, have it go on, or have it look at once.

    A request key that changed it before changes nothing again, whatever comes with it: the answer is `replayed`.

    Raises:
        Verdict: `rebuild.not_found`, `rebuild.over_plan`, or `rebuild.nothing_to_do`.

    """
    require(caller, "update_rebuild_schedule")
    state = await _existing(factory, caller, schedule_id)
    if change == ScheduleChange():
        message = "Nothing is to be changed."
        raise Verdict.because(
            "rebuild.nothing_to_do", message, next="Give every_hours, jitter_minutes, paused or run_now."
        )
    times = change.times_from(state.timing)
    timing = None if times is None else _allowed(caller, times)
    if timing is not None or change.paused is not None:
        command = ChangeSchedule(
            command_id=_command_id(factory, "update_rebuild_schedule", schedule_id, request_key),
            requested_by=caller.subject,
            timing=timing,
            paused=change.paused,
        )
        if command.command_id in state.commands:
            return (await _shown(factory, state)).model_copy(update={"replayed": True})
        version = await factory.rebuilds.change(state, command)
        state = await _seen(factory, caller, schedule_id, version) or state
    if change.run_now:
        await factory.rebuilds.look_now(schedule_id)
    return await _shown(factory, state)


async def delete_rebuild_schedule(
    factory: Factory, caller: Caller, schedule_id: str, *, request_key: str | None = None
) -> ScheduleView:
    """Have a schedule never look again. Builds that it started stay; deleting it again is harmless.

    Raises:
        Verdict: `rebuild.not_found`.

    """
    require(caller, "delete_rebuild_schedule")
    state = await _existing(factory, caller, schedule_id, deleted=True)
    if state.deleted:
        return (await _shown(factory, state)).model_copy(update={"replayed": True})
    command_id = _command_id(factory, "delete_rebuild_schedule", schedule_id, request_key)
    version = await factory.rebuilds.delete(state, DeleteSchedule(command_id=command_id, requested_by=caller.subject))
    return await _shown(factory, await _seen(factory, caller, schedule_id, version) or state)


def _allowed(caller: Caller, times: Times) -> Timing:
    timing = times.timing
    problems = list(check_schedule(plan_of(caller.plan), timing.every))
    if timing.jitter > timing.every:
        problems += Verdict.because(
            "rebuild.jitter",
            "The jitter cannot be longer than the interval.",
            path="jitter_minutes",
            value=f"{timing.jitter / 60:g}",
            next="Ask for a shorter one, or leave it out.",
        ).problems
    if problems:
        raise Verdict(*problems)
    return timing


def _command_id(factory: Factory, tool: str, schedule_id: str, request_key: str | None) -> str:
    return factory.new_id() if request_key is None else derived_id(schedule_id, tool, request_key)


async def _get(factory: Factory, caller: Caller, schedule_id: str) -> ScheduleState | None:
    async with factory.reads.org(caller.org_id) as reads:
        return await reads.rebuilds.get(schedule_id)


async def _existing(factory: Factory, caller: Caller, schedule_id: str, *, deleted: bool = False) -> ScheduleState:
    state = await _get(factory, caller, schedule_id) if is_build_id(schedule_id) else None
    if state is None or (state.deleted and not deleted):
        raise Verdict.because(
            "rebuild.not_found",
            "There is no rebuild schedule with this id.",
            path="schedule_id",
            value=schedule_id[:64],
            next="Call list_rebuild_schedules to see those of your organization.",
        )
    return state


async def _seen(factory: Factory, caller: Caller, schedule_id: str, version: int) -> ScheduleState | None:
    """Wait until the command shows; nothing if that takes longer."""
    with suppress(Fault):
        if await factory.reads.wait_for(caller.org_id, "rebuilds", schedule_id, version, VISIBLE_SECONDS):
            return await _get(factory, caller, schedule_id)
    return None


def _same_input(state: ScheduleState, request: ScheduleRequest) -> None:
    if state.input_digest != request.input_digest:
        raise Verdict.because(
            "request_key.reused",
            "This request_key was used before with another recipe or other times.",
            path="request_key",
            next=f"Use a new request_key for a new schedule; the old one is schedule_id {request.schedule_id}.",
        )


async def _shown(factory: Factory, state: ScheduleState) -> ScheduleView:
    next_run: datetime | None = None
    if not state.deleted:
        with suppress(Fault):  # that the timetable cannot be seen hides no schedule
            next_run = await factory.rebuilds.next_look(state.schedule_id)
    last = None if state.last is None else state.last.look
    return ScheduleView(
        schedule_id=state.schedule_id,
        name=state.name,
        base_image=str(state.recipe.get("baseImage", "")),
        recipe_digest=state.recipe_digest,
        every_hours=state.timing.every / _HOUR,
        jitter_minutes=state.timing.jitter / 60,
        paused=state.paused,
        version=state.version,
        deleted=state.deleted,
        created_at=state.created_at,
        last_run=None if state.last is None else state.last.at,
        last=None if last is None else _cleaned(last),
        last_build=state.last_build,
        next_run=next_run,
    )


def _row(view: ScheduleView) -> ScheduleView:
    """Keep a list short: only the beginning of what the last look says."""
    return view if view.last is None else view.model_copy(update={"last": _cleaned(view.last, ROW_CHARACTERS)})


def _cleaned(look: Look, most: int = _SUMMARY) -> Look:
    return look.model_copy(update={"summary": clean_untrusted(look.summary, most)})


def _accepted(request: ScheduleRequest, version: int) -> ScheduleView:
    return ScheduleView(
        schedule_id=request.schedule_id,
        name=str(request.recipe["name"]),
        base_image=str(request.recipe.get("baseImage", "")),
        recipe_digest=request.recipe_digest,
        every_hours=request.timing.every / _HOUR,
        jitter_minutes=request.timing.jitter / 60,
        paused=False,
        version=version,
        visible=False,
        next=_FOLLOW,
    )
