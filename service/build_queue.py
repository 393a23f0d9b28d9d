"""Where builds stand that wait for their turn, and under which terms a new one joins them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from domain.build.inputs import QueueTerms
from domain.build.progress import StepDuration, usual_seconds
from domain.build.state import BuildState
from domain.caller import Caller
from domain.errors import Fault, Verdict
from domain.plan import check_queue, plan_of
from domain.views import Progress, QueueView
from service.factory import Factory


class Joining(NamedTuple):
    """How a new build takes its turn, and how long its steps will take if it begins at once.

    With others before it there are no `durations`: when it begins is for the queue to say, once the build is in it.
    """

    terms: QueueTerms
    durations: tuple[StepDuration, ...]


async def join_queue(factory: Factory, caller: Caller, name: str) -> Joining:
    """Say how a new build of this recipe name takes its turn.

    Requests that come at the same moment do not see each other, so a few more may get in than the plan says.

    Raises:
        Verdict: `build.queue_full` when too many wait already.

    """
    plan = plan_of(caller.plan)
    async with factory.reads.org(caller.org_id) as reads:
        outlook = await reads.builds.outlook(name)
    problems = check_queue(plan, outlook.waiting)
    if problems:
        raise Verdict(*problems)
    usual = usual_seconds(outlook.durations)
    terms = QueueTerms(most=plan.builds, seconds=sum(usual.values()) if usual else None)
    return Joining(terms, () if outlook.waiting or outlook.running else outlook.durations)


async def places(factory: Factory, org_id: str) -> Mapping[str, QueueView]:
    """Tell the places of an organization's builds; none when the queue cannot be seen, which hides no build."""
    now = factory.now()
    with suppress(Fault):
        queue = await factory.workflows.build_queue(org_id)
        return {
            place.build_id: QueueView(
                position=place.position,
                expected_start=place.starts_at and max(place.starts_at, now),
                reason=place.reason,
            )
            for place in queue
        }
    return {}


async def place_of(factory: Factory, state: BuildState) -> QueueView | None:
    """Tell the place of one build; nothing if it does not wait."""
    return (await places(factory, state.org_id)).get(state.build_id) if state.status == "pending" else None


def with_wait(progress: Progress, place: QueueView | None) -> Progress:
    """Say that the build waits; while nobody knows when it starts, nobody knows when it ends."""
    if place is None:
        return progress
    unknown = {} if place.expected_start is not None else {"expected_seconds": None, "expected_end": None}
    text = f"place {place.position} in the queue: {place.reason}"
    return progress.model_copy(update={**unknown, "text": text})
