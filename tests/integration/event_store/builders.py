"""Builds for tests, as their events."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from domain.build.events import BuildCompleted, BuildEvent, BuildRequested, StepCompleted, StepStarted
from domain.build.steps import STEPS, StepName
from event_store.log import Appended, EventLog
from event_store.mapper import Cause

START = datetime(2030, 1, 1, tzinfo=UTC)


def requested(build_id: UUID, *, org: str = "org-a", name: str = "web", minute: int = 0) -> BuildRequested:
    return BuildRequested(
        build_id=str(build_id),
        org_id=org,
        at=START + timedelta(minutes=minute),
        requested_by="tester",
        recipe={"name": name, "baseImage": "debian-bookworm"},
        recipe_digest="r" * 64,
        input_digest="i" * 64,
    )


def whole_build(
    build_id: UUID,
    *,
    org: str = "org-a",
    name: str = "web",
    minute: int = 0,
    took: Mapping[StepName, float] = MappingProxyType({}),
) -> Iterator[BuildEvent]:
    """All events of a build whose step number n took n seconds, unless told otherwise."""
    first = requested(build_id, org=org, name=name, minute=minute)
    same: dict[str, Any] = {"build_id": str(build_id), "org_id": org}
    yield first
    for number, step in enumerate(STEPS):
        yield StepStarted(**same, at=first.at, step=step, generation=0)
        yield StepCompleted(
            **same,
            at=first.at + timedelta(seconds=number),
            step=step,
            generation=0,
            seconds=took.get(step, float(number)),
            cached=False,
            summary="done",
        )
    yield BuildCompleted(**same, at=first.at + timedelta(minutes=1), seconds=60.0)


def cause() -> Cause:
    return Cause(run_id=str(uuid4()), activity_id="1")


def append(log: EventLog, *events: BuildEvent) -> Appended:
    """Append events as they are, whatever the stream holds."""
    return log.append(UUID(events[0].build_id), cause(), lambda _: events)
