"""What an earlier build has proven is taken over by a later one of the same organization, and told as that."""

import asyncio

import pytest
from temporalio.client import WorkflowHandle

from domain.build.state import BuildState
from domain.errors import Fault
from tests.integration.workflows.conftest import Factory
from workflows.build import BuildWorkflow
from workflows.build_models import BuildOutcome

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


async def built(factory: Factory, handle: WorkflowHandle[BuildWorkflow, BuildOutcome]) -> BuildState:
    """Wait for a build that ends well."""
    ended = await asyncio.wait_for(handle.result(), 60)
    assert ended.status == "completed"
    return factory.recording.state(ended.build_id)


def sources(state: BuildState) -> dict[str, str | None]:
    """Tell of each image which build its evidence is from."""
    return {report.artifact: report.reused and report.reused.build_id for report in state.reports}


async def test_the_same_images_are_not_booted_again_and_their_evidence_names_its_build(factory: Factory) -> None:
    async with factory.running():
        first = await built(factory, await factory.start("r-first"))
        second = await built(factory, await factory.start("r-second"))
        third = await built(factory, await factory.start("r-third"))
    assert factory.host.calls["boot_artifacts"] == factory.host.calls["verify_machines"] == 1
    assert sources(first) == {"qcow2": None, "iso": None}
    assert sources(second) == sources(third) == {"qcow2": "r-first", "iso": "r-first"}
    assert second.reports[0].reused is not None
    assert second.reports[0].reused.verified_at == first.verified_at
    for artifact in second.artifacts:
        assert artifact.verification == "verified"
        assert "reused from build r-first of" in (artifact.method or "")
    assert {s.step: s.cached for s in second.steps if s.step in {"boot", "verify"}} == {"boot": True, "verify": True}


async def test_another_organization_checks_for_itself(factory: Factory) -> None:
    async with factory.running():
        await built(factory, await factory.start("o-ours"))
        theirs = await built(factory, await factory.start("o-theirs", org_id="others"))
    assert sources(theirs) == {"qcow2": None, "iso": None}
    assert factory.host.calls["boot_artifacts"] == 2


async def test_verify_always_boots_and_checks_anew(factory: Factory) -> None:
    async with factory.running():
        await built(factory, await factory.start("a-first"))
        again = await built(factory, await factory.start("a-second", verify="always"))
    assert sources(again) == {"qcow2": None, "iso": None}
    assert factory.host.calls["boot_artifacts"] == 2


async def test_with_changed_tests_only_the_image_that_is_due_them_is_booted(factory: Factory) -> None:
    async with factory.running():
        await built(factory, await factory.start("t-first"))
        changed = await built(factory, await factory.start("t-second", tests=[{"description": "more"}]))
    assert sources(changed) == {"qcow2": None, "iso": "t-first"}
    assert [r.held for r in changed.reports] == [True, True]
    assert factory.host.calls["boot_artifacts"] == 2
    assert factory.host.machines_up == 0


async def test_a_build_that_failed_leaves_no_evidence_to_take_over(factory: Factory) -> None:
    factory.host.failing_assertion = True
    async with factory.running():
        await factory.start("f-first")
        await asyncio.wait_for(factory.recording.reached("f-first", "failed"), 30)
        factory.host.failing_assertion = False
        second = await built(factory, await factory.start("f-second"))
    assert sources(second) == {"qcow2": None, "iso": None}


async def test_a_host_that_cannot_name_evidence_checks_anew(factory: Factory) -> None:
    factory.host.failures["name_evidence"] = [Fault.because("disk.full", "no room")] * 4
    async with factory.running():
        await built(factory, await factory.start("n-first"))
        second = await built(factory, await factory.start("n-second"))
    assert sources(second) == {"qcow2": None, "iso": None}
