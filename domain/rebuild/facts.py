"""What is known when packages are looked at, and of when that is."""

from domain.model import Value
from domain.rebuild.inputs import Timing
from domain.rebuild.state import ScheduleState


class RebuildFacts(Value):
    """A schedule, and the builds of its very recipe.

    `building` is one under way; `last_build` the last completed one, `manifest` the SHA-256 of its list of packages,
    `seconds` how long such builds take.
    """

    schedule: ScheduleState
    building: str | None = None
    last_build: str | None = None
    manifest: str | None = None
    seconds: float | None = None


class Times(Value):
    """When a schedule looks, as it is recorded or as the timetable shows it; no `timing` is one of nobody's making."""

    timing: Timing | None
    paused: bool
