"""How far a build is, from its state, its log and earlier builds: the one source for whatever shows it."""

from contextlib import suppress

from domain.build.progress import StepDuration
from domain.build.state import RESTING, BuildState
from domain.errors import Fault
from domain.views import Progress
from infra.ports import LogRecord
from service.factory import Factory
from service.progress import measure


async def progress_of(factory: Factory, state: BuildState) -> Progress:
    """Measure a build; what cannot be read just now leaves the measure less exact, and hides nothing else."""
    if state.status in RESTING:
        return measure(state, now=factory.now())
    durations: tuple[StepDuration, ...] = ()
    with suppress(Fault):
        async with factory.reads.org(state.org_id) as reads:
            name = str(state.recipe.get("name", ""))
            durations = await reads.builds.durations(name) or await reads.builds.durations()
    latest = await _latest(factory, state.build_id)
    return measure(state, now=factory.now(), latest=latest, durations=durations)


async def _latest(factory: Factory, build_id: str) -> LogRecord | None:
    """Return the newest progress record; a log that cannot be read must not hide the build's state."""
    with suppress(Fault):
        return await factory.logs.progress(build_id)
    return None
