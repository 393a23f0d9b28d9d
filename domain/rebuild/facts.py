"""What is known when packages are looked at, and of when that is."""

from domain.build.state import BuildState
from domain.model import Value
from domain.rebuild.attempt import Attempt, attempt_of
from domain.rebuild.inputs import Timing
from domain.rebuild.state import ScheduleState


class RebuildFacts(Value):
    """A schedule, and the builds of its very recipe.

    `building` is one under way; `last_build` the last completed one, `manifest` the SHA-256 of its list of packages
    (nothing if that is gone), `seconds` how long such builds take. `attempt` is the build that the schedule started
    last; nothing if there is none, or if whoever found this knew nothing of attempts yet.
    """

    schedule: ScheduleState
    building: str | None = None
    last_build: str | None = None
    manifest: str | None = None
    seconds: float | None = None
    attempt: Attempt | None = None


class Times(Value):
    """When a schedule looks, as it is recorded or as the timetable shows it; no `timing` is one of nobody's making."""

    timing: Timing | None
    paused: bool


def facts_of(
    schedule: ScheduleState,
    *,
    building: str | None = None,
    last: BuildState | None = None,
    started: BuildState | None = None,
    seconds: float | None = None,
) -> RebuildFacts:
    """Put together what was found.

    `started` is what the log holds of the build that the schedule started last. `building` and `last` are of the read
    model, which may lag behind it.
    """
    attempt = None if schedule.last_build is None else attempt_of(schedule.last_build, started)
    if attempt is not None and attempt.fate == "open":
        building = building or attempt.build_id
    if started is not None and started.status == "completed" and (last is None or _later(started, last)):
        last = started
    return RebuildFacts(
        schedule=schedule,
        building=building,
        last_build=None if last is None else last.build_id,
        manifest=None if last is None else _manifest(last),
        seconds=seconds,
        attempt=attempt,
    )


def _later(one: BuildState, other: BuildState) -> bool:
    # Packages of a build that had old ones on purpose say nothing of updates.
    return other.rerun_of is not None or one.requested_at > other.requested_at


def _manifest(build: BuildState) -> str | None:
    if build.expired is not None:
        return None  # its artifacts are only known by name any more
    found = (a.blob.digest for a in build.artifacts if a.kind == "manifest" and a.name == "packages.json")
    return next(found, None)
