"""What is told to a rebuild schedule, and what becomes of it."""

from datetime import UTC, datetime

import pytest

from domain.errors import Verdict
from domain.rebuild.commands import AnyRebuildCommand, ChangeSchedule, CreateSchedule, DeleteSchedule, RecordLook
from domain.rebuild.decide import decide
from domain.rebuild.events import RebuildEvent
from domain.rebuild.inputs import Look, Timing
from domain.rebuild.state import ScheduleState, fold
from tests.fakes.rebuilds import kept_schedule

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CREATE = CreateSchedule(request=kept_schedule("s"))


def after(*commands: AnyRebuildCommand) -> ScheduleState:
    stream: list[RebuildEvent] = []
    for command in commands:
        stream += decide(fold(tuple(stream)), command, now=NOW)
    state = fold(tuple(stream))
    assert state is not None
    return state


def change(command_id: str = "c", **more: object) -> ChangeSchedule:
    return ChangeSchedule.model_validate({"command_id": command_id, "requested_by": "me", **more})


def look(outcome: str = "started", look_id: str = "l") -> RecordLook:
    found = {"outcome": outcome, "build_id": "b", "packages": "p", "changed": 1, "summary": "1 package"}
    return RecordLook(look_id=look_id, look=Look.model_validate(found))


def test_a_repeated_request_is_the_same_schedule_and_another_one_is_refused() -> None:
    state = after(CREATE, CREATE)
    assert state.version == 1
    other = CREATE.request.model_copy(update={"timing": Timing(every=1)})
    with pytest.raises(Verdict, match=r"request_key\.reused"):
        decide(state, CreateSchedule(request=other), now=NOW)


def test_pausing_and_going_on_keep_the_times() -> None:
    paused = after(CREATE, change(paused=True))
    assert (paused.paused, paused.timing) == (True, CREATE.request.timing)
    assert not after(CREATE, change(paused=True), change("d", paused=False)).paused


def test_a_repeated_command_changes_nothing_even_if_another_came_between() -> None:
    state = after(CREATE, change("one", paused=True), change("two", paused=False), change("one", paused=True))
    assert (state.paused, state.version) == (False, 3)


def test_a_look_is_kept_once_and_remembers_for_which_packages_a_build_was_started() -> None:
    state = after(CREATE, look(), look(), look("unchanged", "m"))
    assert state.version == 3
    assert (state.tried, state.last_build) == ("p", "b")
    assert state.last is not None
    assert state.last.look.outcome == "unchanged"


def test_a_deleted_schedule_takes_no_change_and_a_late_look_leaves_no_trace() -> None:
    end = DeleteSchedule(command_id="e", requested_by="me")
    state = after(CREATE, end, end, look())
    assert (state.deleted, state.version, state.last) == (True, 2, None)
    with pytest.raises(Verdict, match=r"rebuild\.not_found"):
        decide(state, change(paused=True), now=NOW)
