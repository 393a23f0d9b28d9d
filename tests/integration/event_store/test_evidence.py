"""Evidence of earlier builds, in the database and in the fake that stands for it in other tests."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.build.events import BuildCompleted, BuildEvent, BuildVerified
from domain.build.state import fold
from domain.verification import AssertionResult, Reuse, VerificationReport
from event_store.evidence import EvidenceIndex
from event_store.log import EventLog
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from tests.fakes.recording import find_evidence
from tests.integration.event_store.builders import START, append, requested

pytestmark = pytest.mark.integration

Builds = tuple[tuple[BuildEvent, ...], ...]
Find = Callable[[Builds, str, tuple[str, ...]], tuple[VerificationReport, ...]]


@pytest.fixture(params=["database", "fake"])
def find(request: pytest.FixtureRequest, database: Migrated) -> Find:
    def in_database(builds: Builds, org: str, names: tuple[str, ...]) -> tuple[VerificationReport, ...]:
        with EventLog(database.owner_url) as log:
            for events in builds:
                append(log, *events)
        rebuild_projections(database.owner_url)
        return EvidenceIndex(database.owner_url).find(org, names)

    def in_fake(builds: Builds, org: str, names: tuple[str, ...]) -> tuple[VerificationReport, ...]:
        states = [state for events in builds if (state := fold(events)) is not None]
        return find_evidence(states, org, names)

    return in_database if request.param == "database" else in_fake


def report(name: str, *, passed: bool = True, reused: str | None = None) -> VerificationReport:
    result = AssertionResult(suite="s", description="d", type="t", passed=passed, expected="e", found="f")
    source = None if reused is None else Reuse(build_id=reused, verified_at=START)
    return VerificationReport(
        artifact="qcow2",
        firmware="uefi",
        accelerator="tcg",
        boot_seconds=9.0,
        results=(result,),
        evidence=name,
        reused=source,
    )


def build(
    *reports: VerificationReport, build_id: UUID | None = None, org: str = "org-a", minute: int = 0, done: bool = True
) -> tuple[BuildEvent, ...]:
    first = requested(build_id or uuid4(), org=org, minute=minute)
    same: dict[str, Any] = {"build_id": first.build_id, "org_id": org, "at": first.at}
    checked = BuildVerified(**same, generation=0, reports=reports)
    return (first, checked, BuildCompleted(**same, seconds=1.0)) if done else (first, checked)


def test_the_newest_report_of_each_name_is_found_with_the_build_that_made_it(find: Find) -> None:
    one, two, three = f"n-{uuid4()}", f"n-{uuid4()}", f"n-{uuid4()}"
    older, newer = build(report(one), report(two)), build(report(one), minute=5)
    found = {r.evidence: r.reused for r in find((older, newer), "org-a", (one, two, three))}
    assert found == {
        one: Reuse(build_id=newer[0].build_id, verified_at=newer[0].at),
        two: Reuse(build_id=older[0].build_id, verified_at=older[0].at),
    }


def test_another_organizations_evidence_is_as_absent_as_none(find: Find) -> None:
    name = f"n-{uuid4()}"
    assert find((build(report(name), org="org-b"),), "org-a", (name,)) == ()


def test_a_build_that_is_not_completed_proves_nothing(find: Find) -> None:
    name = f"n-{uuid4()}"
    assert find((build(report(name), done=False),), "org-a", (name,)) == ()


def test_what_was_taken_over_is_found_only_where_it_was_made(find: Find) -> None:
    mine, other = f"n-{uuid4()}", f"n-{uuid4()}"
    origin = build(report(mine))
    taker = build(report(mine, reused=origin[0].build_id), report(other), minute=5)
    found = {r.evidence: r.reused and r.reused.build_id for r in find((origin, taker), "org-a", (mine, other))}
    assert found == {mine: origin[0].build_id, other: taker[0].build_id}


def test_nothing_is_found_for_no_name(find: Find) -> None:
    assert find((build(report(f"n-{uuid4()}")),), "org-a", ()) == ()
