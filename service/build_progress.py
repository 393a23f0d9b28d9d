"""How far a build is, from its state, its log and earlier builds: the one source for whatever shows it."""

from contextlib import suppress

from domain.build.progress import StepDuration
from domain.build.state import RESTING, BuildState
from domain.errors import Fault
from domain.views import BuildView, Progress, QueueView
from infra.ports import LogRecord
from service.build_queue import place_of, with_wait
from service.build_view import build_view
from service.factory import Factory
from service.progress import is_under_way, measure


async def view_of(factory: Factory, state: BuildState, *, replayed: bool = False) -> BuildView:
    """Tell all there is to a build: its place in the queue and how far it is, too."""
    place = await place_of(factory, state)
    return build_view(state, progress=await progress_of(factory, state, place), replayed=replayed, place=place)


async def progress_of(factory: Factory, state: BuildState, place: QueueView | None = None) -> Progress:
    """Measure a build, which may wait at `place`; what cannot be read leaves the measure less exact, and no more."""
    if state.status in RESTING:
        return measure(state, now=factory.now())
    latest = await _latest(factory, state.build_id) if is_under_way(state) else None
    durations: tuple[StepDuration, ...] = ()
    with suppress(Fault):
        async with factory.reads.org(state.org_id) as reads:
            durations = await reads.builds.durations(str(state.recipe.get("name", "")))
    starts_at = None if place is None else place.expected_start
    measured = measure(state, now=factory.now(), latest=latest, durations=durations, starts_at=starts_at)
    return with_wait(measured, place)


async def _latest(factory: Factory, build_id: str) -> LogRecord | None:
    """Return the newest progress record; a log that cannot be read must not hide the build's state."""
    with suppress(Fault):
        return await factory.logs.progress(build_id)
    return None
