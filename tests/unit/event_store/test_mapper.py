"""Events are stored under explicit names and read back equal; what cannot be read is said, not skipped."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest

from domain.artifacts import Artifact, Blob
from domain.build import events as e
from domain.errors import Fault, Problem
from domain.verification import AssertionResult, VerificationReport
from event_store.mapper import EVENTS, Cause, DomainMapper, RecordedEvent, decode, decode_event, encode

STREAM = UUID("7d444840-9dc0-41d1-b245-5ffdce74fad2")
SAME: dict[str, Any] = {
    "build_id": str(STREAM),
    "org_id": "o",
    "at": datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
}
CAUSE = Cause(run_id="run", activity_id="7")


def one_of_each() -> Iterator[e.BuildEvent]:
    report = VerificationReport(
        artifact="qcow2",
        firmware="uefi",
        accelerator="tcg",
        boot_seconds=1.5,
        results=(
            AssertionResult(
                suite="boot", description="d", type="t", params={"a": [1]}, passed=True, expected="x", found="\0 é"
            ),
        ),
    )
    artifact = Artifact(kind="iso", name="x.iso", blob=Blob(digest="d" * 64, bytes=1))
    problems = (Problem(code="boot.failed", message="why", suggestions=("a",)),)
    yield e.BuildRequested(
        **SAME, requested_by="me", recipe={"name": "x", "packages": []}, recipe_digest="r", input_digest="i"
    )
    yield e.StepStarted(**SAME, step="boot", generation=1, host="h")
    yield e.StepCompleted(**SAME, step="boot", generation=1, seconds=0.1, cached=True, summary="s")
    yield e.BuildVerified(**SAME, generation=1, reports=(report,))
    yield e.ArtifactsPublished(**SAME, generation=1, artifacts=(artifact,))
    yield e.BuildFailed(**SAME, step="boot", generation=1, kind="verdict", problems=problems, retry_until=SAME["at"])
    yield e.BuildRetried(**SAME, generation=2, from_step="boot", requested_by="me", command_id="c")
    yield e.BuildCompleted(**SAME, seconds=2.0)
    yield e.BuildCancelled(**SAME, requested_by="me", reason="r")
    yield e.RetryWindowClosed(**SAME)


@pytest.mark.parametrize("event", list(one_of_each()), ids=lambda event: event.NAME)
def test_an_event_is_read_back_equal(event: e.BuildEvent) -> None:
    recorded = RecordedEvent(STREAM, 3, CAUSE.event_id(STREAM, event.NAME, 0), CAUSE, event)
    stored = encode(recorded)
    assert stored.topic == event.NAME
    assert DomainMapper().to_domain_event(stored) == recorded
    assert decode_event(STREAM, 3, stored.topic, stored.state).event == event


def test_every_event_of_the_domain_has_an_example_here() -> None:
    assert {event.NAME for event in one_of_each()} == set(EVENTS)


def test_an_id_follows_from_stream_cause_name_and_ordinal() -> None:
    assert CAUSE.event_id(STREAM, "build.failed.v1", 2) == uuid5(STREAM, "run:7:build.failed.v1:2")


@pytest.mark.parametrize(
    ("name", "state"),
    [("build.unknown.v1", b"{}"), ("build.completed.v1", b"{}"), ("build.completed.v1", b"not json")],
)
def test_what_cannot_be_read_is_a_fault_that_names_the_event(name: str, state: bytes) -> None:
    for read in (decode, decode_event):
        with pytest.raises(Fault) as failed:
            read(STREAM, 9, name, state)
        assert failed.value.code == "log.unreadable_event"
        assert f"event 9 of stream {STREAM} ({name})" in str(failed.value)
