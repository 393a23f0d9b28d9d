"""The facts of a schedule. Names are versioned and never depend on a class path."""

from typing import Any

from domain.event import Event
from domain.rebuild.inputs import Look, Timing


class RebuildEvent(Event):
    """A fact about one schedule."""

    schedule_id: str


class ScheduleCreated(RebuildEvent):
    """Someone wants a recipe to be looked at. `recipe` is the canonical document, `plan` that of its builds."""

    NAME = "rebuild.schedule_created.v1"
    requested_by: str
    plan: str
    recipe: dict[str, Any]
    recipe_digest: str
    timing: Timing
    input_digest: str


class ScheduleChanged(RebuildEvent):
    """It looks at these times from now on, or not at all while it is paused."""

    NAME = "rebuild.schedule_changed.v1"
    command_id: str
    requested_by: str
    timing: Timing
    paused: bool


class ScheduleDeleted(RebuildEvent):
    """It looks no more."""

    NAME = "rebuild.schedule_deleted.v1"
    requested_by: str


class PackagesLooked(RebuildEvent):
    """The packages were looked at; this is what was found, and whether a build was started."""

    NAME = "rebuild.looked.v1"
    look_id: str
    look: Look


REBUILD_EVENTS: dict[str, type[RebuildEvent]] = {
    cls.NAME: cls for cls in (ScheduleCreated, ScheduleChanged, ScheduleDeleted, PackagesLooked)
}
