"""What a rebuild schedule does after a build that it started: on a real Temporal server."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from activities.imaging.models import CompareResult
from domain.build.commands import BuildCommand, CancelBuild, CloseRetryWindow, DeleteBuild, FailBuild
from domain.build.events import ArtifactsExpired, BuildCompleted
from domain.errors import Problem, Verdict
from tests.integration.workflows.rebuild_office import UPDATE, Office, open_office

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def office(environment: WorkflowEnvironment) -> AsyncGenerator[Office]:
    async with open_office(environment) as made:
        yield made


async def started(office: Office) -> str:
    """Have it start a build for an update."""
    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    look = await office.look()
    assert (look.outcome, look.changed) == ("started", 1)
    assert look.build_id is not None
    return look.build_id


def failure(cause: Literal["verdict", "fault"], code: str) -> FailBuild:
    problems = (Problem(code=code, message="no"),)
    return FailBuild(step="resolve", generation=0, cause=cause, problems=problems, retry_seconds=600)


CANCEL = CancelBuild(requested_by="operator", reason="not now")
DELETE = DeleteBuild(requested_by="operator", reason="no longer needed")
WHY = "1 of 200 packages changed since build before: openssl 3.0.1 → 3.0.2"


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((failure("fault", "mirror.unreachable"),), "failed in step resolve (mirror.unreachable)"),
        ((failure("fault", "queue.full"), CloseRetryWindow()), "failed in step resolve (queue.full)"),
        ((CANCEL,), "was cancelled"),
        ((CANCEL, DELETE), "was deleted"),
    ],
)
async def test_after_a_passing_end_the_same_packages_are_built_at_the_next_look(
    office: Office, ends: tuple[BuildCommand, ...], words: str
) -> None:
    build_id = await started(office)
    for command in ends:
        office.past.tell(build_id, command)
    again = await office.look()
    assert (again.outcome, again.summary) == ("started", f"{WHY}; build {build_id}, started for these before, {words}")
    assert again.build_id not in {None, build_id}
    assert (await office.look()).outcome == "already_building"


async def test_packages_that_got_a_verdict_wait_for_other_ones(office: Office) -> None:
    build_id = await started(office)
    office.past.tell(build_id, failure("verdict", "package.conflict"))
    words = f"build {build_id} was started for these packages and failed in step resolve (package.conflict)"
    for _ in range(2):
        look = await office.look()
        assert (look.outcome, look.build_id, look.summary) == ("already_tried", build_id, words)
    office.past.tell(build_id, CANCEL)  # which tidies up, and mends nothing
    assert (await office.look()).outcome == "already_tried"
    office.past.found = CompareResult(packages="p3", total=200, changed=1, changes=(UPDATE,))
    assert (await office.look()).summary == WHY


async def test_a_build_that_the_log_refused_is_asked_for_again(office: Office) -> None:
    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    office.past.builds.refusal = Verdict.because("quota.builds", "no more today")
    refused = await office.look()
    assert refused.build_id is not None
    with pytest.raises(WorkflowFailureError):
        await office.client.get_workflow_handle(f"build-{refused.build_id}").result()
    office.past.builds.refusal = None
    assert (await office.look()).summary == (
        f"{WHY}; build {refused.build_id}, started for these before, was never recorded"
    )


@pytest.mark.parametrize("manifest", [None, "swept"])
async def test_a_list_of_packages_that_is_gone_is_called_that(office: Office, manifest: str | None) -> None:
    office.past.manifest = manifest
    office.past.found = CompareResult(packages="p1", total=200, changed=200, gone=manifest is not None)
    look = await office.look()
    assert (look.outcome, look.changed, look.summary) == ("started", 0, "the list of packages of build before is gone")


async def test_files_that_expired_are_not_made_again_without_updates(office: Office) -> None:
    build_id = await started(office)
    stream = office.past.builds.streams[build_id]
    same: dict[str, Any] = {"build_id": build_id, "org_id": "local", "at": datetime.now(UTC)}
    stream += [BuildCompleted(**same, seconds=1.0), ArtifactsExpired(**same, reason="old")]
    office.past.found = CompareResult(packages="p2", total=200, changed=200)
    look = await office.look()
    assert (look.outcome, look.summary) == (
        "unchanged",
        f"build {build_id} was started for these 200 packages and completed",
    )
    office.past.found = CompareResult(packages="p3", total=200, changed=200)
    look = await office.look()
    assert (look.outcome, look.summary) == ("started", f"the list of packages of build {build_id} is gone")
