"""What is known of the builds of a schedule, and what became of the one that it started."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.artifacts import Artifact, Blob
from domain.build.state import BuildState, BuildStatus, Failure, Removal
from domain.errors import Problem
from domain.rebuild.attempt import attempt_of
from domain.rebuild.commands import CreateSchedule, RecordLook
from domain.rebuild.decide import decide
from domain.rebuild.facts import facts_of
from domain.rebuild.inputs import Look
from domain.rebuild.state import ScheduleState, fold
from tests.fakes.rebuilds import kept_schedule

NOW = datetime(2030, 1, 1, tzinfo=UTC)
GONE = Removal(at=NOW, by="retention", reason="old")


def schedule() -> ScheduleState:
    """Give one that has started the build `mine`."""
    request = kept_schedule("s")
    stream = decide(None, CreateSchedule(request=request), now=NOW)
    look = Look(outcome="started", build_id="mine", packages="p", summary="1 package")
    state = fold((*stream, *decide(fold(stream), RecordLook(look_id="l", look=look), now=NOW)))
    assert state is not None
    return state


def build(build_id: str = "mine", status: BuildStatus = "completed", *, hour: int = 0, **more: Any) -> BuildState:
    at = NOW + timedelta(hours=hour)
    listed = Artifact(kind="manifest", name="packages.json", blob=Blob(digest=f"list of {build_id}", bytes=1))
    known: dict[str, Any] = {
        "org_id": "local",
        "version": 9,
        "requested_by": "me",
        "requested_at": at,
        "updated_at": at,
        "recipe": {},
        "recipe_digest": "r",
        "input_digest": "i",
        "artifacts": (listed,),
    }
    return BuildState(build_id=build_id, status=status, **{**known, **more})


def failed(kind: str) -> Failure:
    problem = Problem(code="a.code", message="no")
    known = {"step": "verify", "kind": kind, "problems": (problem,), "retryable": False, "retry_until": NOW}
    return Failure.model_validate(known)


@pytest.mark.parametrize(
    ("state", "fate", "words"),
    [
        (None, "over", "was never recorded"),
        (build(status="pending"), "open", "is under way"),
        (build(status="testing"), "open", "is under way"),
        (build(), "completed", "completed"),
        (build(status="cancelled"), "over", "was cancelled"),
        (build(status="failed", failure=failed("fault")), "over", "failed in step verify (a.code)"),
        (build(status="failed", failure=failed("verdict")), "wrong", "failed in step verify (a.code)"),
        (build(status="cancelled", failure=failed("verdict")), "wrong", "failed in step verify (a.code)"),
        (build(status="deleted", failure=failed("verdict")), "over", "was deleted"),
        (build(status="deleted"), "over", "was deleted"),
    ],
)
def test_what_became_of_a_build(state: BuildState | None, fate: str, words: str) -> None:
    attempt = attempt_of("mine", state)
    assert (attempt.fate, attempt.words) == (fate, words)


def test_a_build_that_only_the_log_knows_is_under_way() -> None:
    assert facts_of(schedule(), started=build(status="pending")).building == "mine"
    assert facts_of(schedule(), building="other", started=build(status="pending")).building == "other"


def test_a_list_that_expired_is_not_named() -> None:
    known = facts_of(schedule(), last=build("old", hour=1, expired=GONE))
    assert (known.last_build, known.manifest) == ("old", None)
    assert facts_of(schedule(), last=build("old")).manifest == "list of old"


def test_the_log_tells_of_a_completed_build_before_the_read_model_does() -> None:
    assert facts_of(schedule(), last=build("old"), started=build(hour=1)).last_build == "mine"
    assert facts_of(schedule(), last=None, started=build()).last_build == "mine"
    assert facts_of(schedule(), last=build("newer", hour=2), started=build(hour=1)).last_build == "newer"
    assert facts_of(schedule(), last=build("again", hour=2, rerun_of="old"), started=build()).last_build == "mine"
    assert facts_of(schedule(), last=build("old"), started=build(status="deleted", hour=1)).last_build == "old"
