"""How far a build is, from its state, its log and earlier builds: the one source for whatever shows it."""

from contextlib import suppress

from domain.build.state import BuildState
from domain.errors import Fault
from domain.views import Progress, QueueView
from event_store.models.builds import StepDuration
from infra.ports import LogRecord
from service.build_queue import with_wait
from service.factory import Factory
from service.progress import SETTLED, measure


async def progress_of(factory: Factory, state: BuildState, place: QueueView | None = None) -> Progress:
    """Measure a build, which may wait at `place`; what cannot be read leaves the measure less exact, and no more."""
    if state.status in SETTLED:
        return measure(state, now=factory.now())
    durations: tuple[StepDuration, ...] = ()
    with suppress(Fault):
        async with factory.reads.org(state.org_id) as reads:
            name = str(state.recipe.get("name", ""))
            durations = await reads.builds.durations(name) or await reads.builds.durations()
    latest = await _latest(factory, state.build_id)
    return with_wait(measure(state, now=factory.now(), latest=latest, durations=durations), place, factory)


async def _latest(factory: Factory, build_id: str) -> LogRecord | None:
    """Return the newest progress record; a log that cannot be read must not hide the build's state."""
    with suppress(Fault):
        return await factory.logs.progress(build_id)
    return None
