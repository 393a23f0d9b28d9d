"""What a command makes happen to a schedule, given what already happened. A repeated command decides nothing."""

from datetime import datetime

from domain.errors import Verdict
from domain.rebuild import commands as c
from domain.rebuild import events as e
from domain.rebuild.state import ScheduleState

_NOTHING: tuple[e.RebuildEvent, ...] = ()


def decide(state: ScheduleState | None, command: c.AnyRebuildCommand, *, now: datetime) -> tuple[e.RebuildEvent, ...]:
    """Return the events that `command` adds to a schedule; none if they are there already.

    `now` is the time in UTC as the workflow sees it.

    Raises:
        Verdict: `rebuild.not_found`, `request_key.reused`.

    """
    if isinstance(command, c.CreateSchedule):
        return _create(state, command, now)
    if state is None or (state.deleted and isinstance(command, c.ChangeSchedule)):
        raise Verdict.because("rebuild.not_found", "there is no such schedule", next="list_rebuild_schedules")
    if state.deleted:
        return _NOTHING
    match command:
        case c.ChangeSchedule():
            return _change(state, command, now)
        case c.DeleteSchedule():
            return (
                e.ScheduleDeleted(
                    schedule_id=state.schedule_id, org_id=state.org_id, at=now, requested_by=command.requested_by
                ),
            )
        case c.RecordLook():
            if state.last_look_id == command.look_id:
                return _NOTHING
            return (
                e.PackagesLooked(
                    schedule_id=state.schedule_id,
                    org_id=state.org_id,
                    at=now,
                    look_id=command.look_id,
                    look=command.look,
                ),
            )


def _create(state: ScheduleState | None, command: c.CreateSchedule, now: datetime) -> tuple[e.RebuildEvent, ...]:
    request = command.request
    if state is None:
        return (
            e.ScheduleCreated(
                schedule_id=request.schedule_id,
                org_id=request.org_id,
                at=now,
                requested_by=request.requested_by,
                plan=request.plan,
                recipe=request.recipe,
                recipe_digest=request.recipe_digest,
                timing=request.timing,
                input_digest=request.input_digest,
            ),
        )
    if state.org_id != request.org_id or state.input_digest != request.input_digest:
        message = "this schedule id belongs to another request"
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")
    return _NOTHING


def _change(state: ScheduleState, command: c.ChangeSchedule, now: datetime) -> tuple[e.RebuildEvent, ...]:
    timing = command.timing or state.timing
    paused = state.paused if command.paused is None else command.paused
    if command.command_id in state.commands or (timing, paused) == (state.timing, state.paused):
        return _NOTHING
    return (
        e.ScheduleChanged(
            schedule_id=state.schedule_id,
            org_id=state.org_id,
            at=now,
            command_id=command.command_id,
            requested_by=command.requested_by,
            timing=timing,
            paused=paused,
        ),
    )
