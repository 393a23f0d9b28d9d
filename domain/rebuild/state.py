"""What a schedule is after its events, folded in order. Folding never fails."""

from datetime import datetime
from typing import Any

from domain.model import Value
from domain.rebuild import events as e
from domain.rebuild.inputs import Look, Timing

_COMMANDS_KEPT = 50


class LookState(Value):
    """A look, and when it was."""

    at: datetime
    look: Look


class ScheduleState(Value):
    """One schedule. `version` is the number of its events; `commands` are the ids of the latest ones.

    `tried` is the digest of the packages for which it last started a build, `last_build` that build.
    """

    schedule_id: str
    org_id: str
    version: int
    requested_by: str
    plan: str
    created_at: datetime
    updated_at: datetime
    recipe: dict[str, Any]
    recipe_digest: str
    input_digest: str
    timing: Timing
    paused: bool = False
    deleted: bool = False
    last: LookState | None = None
    last_look_id: str | None = None
    last_build: str | None = None
    tried: str | None = None
    commands: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.recipe.get("name", ""))


def evolve(state: ScheduleState | None, event: e.RebuildEvent) -> ScheduleState:
    """Return the state after `event`. A fact that does not fit leaves the state as it is, but counted.

    Raises:
        ValueError: the stream does not begin with `rebuild.schedule_created.v1`.

    """
    if isinstance(event, e.ScheduleCreated):
        return _created(event, 1 if state is None else state.version + 1)
    if state is None:
        raise ValueError(f"{event.NAME} before rebuild.schedule_created.v1 in {event.schedule_id}")
    return state.model_copy(update={"version": state.version + 1, "updated_at": event.at, **_change(state, event)})


def fold(history: tuple[e.RebuildEvent, ...]) -> ScheduleState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: ScheduleState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _created(event: e.ScheduleCreated, version: int) -> ScheduleState:
    return ScheduleState(
        schedule_id=event.schedule_id,
        org_id=event.org_id,
        version=version,
        requested_by=event.requested_by,
        plan=event.plan,
        created_at=event.at,
        updated_at=event.at,
        recipe=event.recipe,
        recipe_digest=event.recipe_digest,
        input_digest=event.input_digest,
        timing=event.timing,
    )


def _change(state: ScheduleState, event: e.RebuildEvent) -> dict[str, object]:
    match event:
        case e.ScheduleChanged():
            commands = (*state.commands, event.command_id)[-_COMMANDS_KEPT:]
            return {"timing": event.timing, "paused": event.paused, "commands": commands}
        case e.ScheduleDeleted():
            return {"deleted": True}
        case e.PackagesLooked():
            found: dict[str, object] = {
                "last": LookState(at=event.at, look=event.look),
                "last_look_id": event.look_id,
            }
            if event.look.outcome == "started":
                found |= {"last_build": event.look.build_id, "tried": event.look.packages}
            return found
        case _:
            return {}
