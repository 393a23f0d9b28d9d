"""How long builds usually take, in the database and in the fake that stands for it in other tests."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from domain.build.events import BuildCompleted, BuildEvent, StepCompleted, StepStarted
from domain.build.progress import StepDuration
from domain.build.state import fold
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from event_store.usual import UsualDurations
from tests.fakes.recording import find_usual
from tests.integration.event_store.builders import append, requested

pytestmark = pytest.mark.integration

Builds = tuple[tuple[BuildEvent, ...], ...]
Find = Callable[[Builds, str, str], tuple[StepDuration, ...]]


@pytest.fixture(params=["database", "fake"])
def find(request: pytest.FixtureRequest, database: Migrated) -> Find:
    def in_database(builds: Builds, org: str, recipe: str) -> tuple[StepDuration, ...]:
        with EventLog(database.owner_url) as log:
            for events in builds:
                append(log, *events)
        rebuild_projections(database.owner_url)
        return UsualDurations(database.owner_url).find(org, recipe)

    def in_fake(builds: Builds, org: str, recipe: str) -> tuple[StepDuration, ...]:
        states = [state for events in builds if (state := fold(events)) is not None]
        return find_usual(states, org, recipe)

    return in_database if request.param == "database" else in_fake


def build(seconds: float, *, org: str = "org-a", done: bool = True) -> tuple[BuildEvent, ...]:
    first = requested(uuid4(), org=org)
    same: dict[str, Any] = {"build_id": first.build_id, "org_id": org, "at": first.at}
    step = {"step": "resolve", "generation": 0}
    took = StepCompleted.model_validate({**same, **step, "seconds": seconds, "cached": False, "summary": "s"})
    end = (BuildCompleted(**same, seconds=seconds),) if done else ()
    return (first, StepStarted.model_validate({**same, **step}), took, *end)


def name_of(events: tuple[BuildEvent, ...]) -> str:
    state = fold(events)
    assert state is not None
    return str(state.recipe["name"])


def test_the_median_of_completed_builds_of_this_organization_alone_is_told(find: Find) -> None:
    mine = (build(1.0), build(3.0), build(8.0))
    others = (build(99.0, org="org-b"), build(77.0, done=False))
    [found] = find((*mine, *others), "org-a", name_of(mine[0]))
    assert (found.step, found.cached, found.seconds, found.samples) == ("resolve", False, 3.0, 3)


def test_a_recipe_without_builds_is_measured_by_the_others(find: Find) -> None:
    [found] = find((build(4.0),), "org-a", "never-built")
    assert found.seconds == 4.0


def test_without_a_completed_build_nothing_is_usual(find: Find) -> None:
    assert find((build(4.0, done=False),), "org-a", "never-built") == ()
