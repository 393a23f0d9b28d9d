"""A build on a real Temporal server that skips time, with a host of fakes."""

import asyncio
import json
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from domain.build.inputs import BuildRequest, QueueTerms
from domain.build.state import BuildStatus
from domain.errors import Fault, Verdict
from tests.integration.workflows.conftest import Factory
from workflows.build import BuildWorkflow
from workflows.build_models import BuildOutcome
from workflows.client import FactoryClient
from workflows.commands import CancelCommand, RetryCommand

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

STEPS = (
    "resolve_recipe",
    "build_base_layer",
    "build_package_layer",
    "build_configuration_layer",
    "assemble_artifacts",
    "boot_artifacts",
    "verify_machines",
    "publish_artifacts",
)


async def until_status(factory: Factory, build_id: str, status: BuildStatus) -> None:
    """Wait until the log says so."""
    await asyncio.wait_for(factory.recording.reached(build_id, status), 30)


async def outcome(handle: WorkflowHandle[BuildWorkflow, BuildOutcome]) -> BuildOutcome:
    """Wait for the end."""
    return await asyncio.wait_for(handle.result(), 60)


async def test_a_good_build_does_every_step_once_and_completes(factory: Factory) -> None:
    async with factory.running():
        ended = await outcome(await factory.start("good"))
    assert ended.status == "completed"
    assert [factory.host.calls[name] for name in STEPS] == [1] * len(STEPS)
    assert factory.host.machines_up == 0
    state = factory.recording.state("good")
    assert state.status == "completed"
    assert {a.verification for a in state.artifacts} == {"verified"}


async def test_packages_and_images_are_moved_while_other_steps_work(factory: Factory) -> None:
    async with factory.running():
        assert (await outcome(await factory.start("ahead"))).status == "completed"
    assert factory.host.calls["fetch_packages"] == factory.host.calls["copy_images"] == 1


async def test_work_ahead_that_fails_is_left_to_the_step_that_needs_it(factory: Factory) -> None:
    for name in ("fetch_packages", "copy_images"):
        factory.host.failures[name] = [Fault.because("mirror.unreachable", "no answer")]
    async with factory.running():
        assert (await outcome(await factory.start("behind"))).status == "completed"
    assert factory.host.calls["fetch_packages"] == factory.host.calls["copy_images"] == 1


async def test_work_ahead_ends_with_the_build_that_is_cancelled(factory: Factory) -> None:
    factory.host.hold = "copy_images"
    async with factory.running():
        handle = await factory.start("ended")
        await asyncio.wait_for(factory.host.held.wait(), 30)
        await handle.signal("cancel")
        assert (await outcome(handle)).status == "cancelled"
    assert factory.host.machines_up == 0


async def test_a_signal_of_the_wrong_form_is_dropped_and_the_build_goes_on(factory: Factory) -> None:
    factory.host.hold = "boot_artifacts"
    async with factory.running():
        handle = await factory.start("strange")
        await asyncio.wait_for(factory.host.held.wait(), 30)
        await handle.signal("cancel", args=["one", "two", "three"])
        await handle.signal("retry", args=[1, 2])
        factory.host.hold = ""
        await handle.signal("cancel")
        assert (await outcome(handle)).status == "cancelled"


async def test_machines_that_are_lost_while_they_are_checked_are_booted_again(factory: Factory) -> None:
    lost = [Fault.because("machine.lost", "its process ended on the host") for _ in range(5)]
    factory.host.failures["verify_machines"] = list(lost)
    async with factory.running():
        ended = await outcome(await factory.start("lost"))
    assert ended.status == "completed"
    assert factory.host.calls["boot_artifacts"] == 2
    assert factory.host.calls["verify_machines"] == 6
    assert factory.host.machines_up == 0


async def test_machines_that_are_lost_again_and_again_park_the_build(factory: Factory) -> None:
    factory.host.failures["verify_machines"] = [Fault.because("machine.lost", "gone") for _ in range(15)]
    async with factory.running():
        await factory.start("lost for good")
        await until_status(factory, "lost for good", "failed")
    assert factory.host.calls["boot_artifacts"] == 3
    failure = factory.recording.state("lost for good").failure
    assert failure is not None
    assert (failure.step, failure.kind) == ("verify", "fault")


async def test_a_verdict_parks_at_once_and_a_retry_keeps_the_finished_steps(factory: Factory) -> None:
    factory.host.failures["build_package_layer"] = [Verdict.because("package.install_failed", "postinst failed")]
    async with factory.running():
        handle = await factory.start("verdict")
        await until_status(factory, "verdict", "failed")
        assert factory.host.calls["build_package_layer"] == 1
        await handle.signal("retry")  # as the stock command line sends it: without an argument
        assert (await outcome(handle)).status == "completed"
    assert factory.host.calls["resolve_recipe"] == 1
    assert factory.host.calls["build_base_layer"] == 1
    assert factory.host.calls["build_package_layer"] == 2
    names = factory.recording.names("verdict")
    assert names.count("build.retried.v1") == 1
    assert factory.recording.state("verdict").generation == 1


async def test_a_retry_that_comes_before_the_build_parks_is_kept_when_it_names_the_try(factory: Factory) -> None:
    factory.host.failures["build_package_layer"] = [Verdict.because("package.install_failed", "postinst failed")]
    factory.host.hold = "build_package_layer"
    async with factory.running():
        handle = await factory.start("early")
        await asyncio.wait_for(factory.host.held.wait(), 30)
        await handle.signal(BuildWorkflow.retry, RetryCommand(command_id="c1", generation=0))
        factory.host.hold = ""
        assert (await outcome(handle)).status == "completed"
    assert factory.recording.names("early").count("build.retried.v1") == 1
    assert factory.recording.state("early").retries == ("c1",)


async def heard(handle: WorkflowHandle[BuildWorkflow, BuildOutcome], signal: str) -> None:
    """Wait until the workflow has that signal: a task that only waits for the log is renewed after eight seconds."""
    async with asyncio.timeout(30):
        while True:
            events = (await handle.fetch_history()).events
            names = [event.workflow_execution_signaled_event_attributes.signal_name for event in events]
            after = events[names.index(signal) if signal in names else len(events) :]
            if any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED for event in after):
                return
            await asyncio.sleep(0.1)


async def test_a_retry_that_comes_while_the_failure_is_written_is_not_lost(factory: Factory) -> None:
    factory.host.failures["resolve_recipe"] = [Verdict.because("package.not_found", "no such package")]
    factory.recording.silent_after = "fail"
    async with factory.running():
        handle = await factory.start("orphan")
        await until_status(factory, "orphan", "failed")
        await handle.signal(BuildWorkflow.retry, RetryCommand(command_id="c1", generation=0))
        await heard(handle, "retry")
        factory.recording.speak.set()
        assert (await outcome(handle)).status == "completed"
    assert factory.recording.names("orphan").count("build.failed.v1") == 1


async def test_a_cancel_that_comes_while_a_retry_is_written_is_not_lost(factory: Factory) -> None:
    factory.host.failures["resolve_recipe"] = [Verdict.because("package.not_found", "no such package")]
    factory.recording.silent_after = "retry"
    async with factory.running():
        handle = await factory.start("both")
        await until_status(factory, "both", "failed")
        await handle.signal("retry")
        await until_status(factory, "both", "pending")
        await handle.signal("cancel")
        await heard(handle, "cancel")
        factory.recording.speak.set()
        assert (await outcome(handle)).status == "cancelled"


async def test_a_retry_of_an_earlier_failure_does_not_retry_a_later_one(factory: Factory) -> None:
    wrong = Verdict.because("package.install_failed", "postinst failed")
    factory.host.failures["build_package_layer"] = [wrong, wrong]
    async with factory.running():
        handle = await factory.start("stale")
        await until_status(factory, "stale", "failed")
        await handle.signal(BuildWorkflow.retry, RetryCommand(command_id="c1", generation=0))
        await until_status(factory, "stale", "building")
        await until_status(factory, "stale", "failed")
        await handle.signal(BuildWorkflow.retry, RetryCommand(command_id="c2", generation=0))
        await handle.signal(BuildWorkflow.retry, RetryCommand(command_id="c3", generation=1))
        assert (await outcome(handle)).status == "completed"
    assert factory.recording.state("stale").retries[-1] == "c3"
    assert factory.recording.state("stale").generation == 2


async def test_a_fault_is_tried_again_without_anybody_asking(factory: Factory) -> None:
    factory.host.failures["resolve_recipe"] = [Fault.because("mirror.unreachable", "no answer")] * 2
    async with factory.running():
        assert (await outcome(await factory.start("fault"))).status == "completed"
    assert factory.host.calls["resolve_recipe"] == 3


async def test_failed_assertions_release_the_machines_and_keep_the_images_unverified(factory: Factory) -> None:
    factory.host.failing_assertion = True
    async with factory.running():
        handle = await factory.start("assertions")
        await until_status(factory, "assertions", "failed")
        assert factory.host.machines_up == 0
        assert factory.host.calls["capture_evidence"] == 1
        state = factory.recording.state("assertions")
        assert state.failure is not None
        assert state.failure.step == "verify"
        assert "setup.service" in state.failure.problems[0].message
        assert {a.kind: a.verification for a in state.artifacts} == {"qcow2": "unverified", "iso": "verified"}
        factory.host.failing_assertion = False
        await handle.signal(BuildWorkflow.retry, RetryCommand(command_id="c1", requested_by="me"))
        assert (await outcome(handle)).status == "completed"
    assert factory.host.calls["assemble_artifacts"] == 1
    assert factory.host.calls["boot_artifacts"] == 2


async def test_cancelling_in_the_middle_gives_back_the_machines(factory: Factory) -> None:
    factory.host.hold = "boot_artifacts"
    async with factory.running():
        handle = await factory.start("cancelled")
        await asyncio.wait_for(factory.host.held.wait(), 30)
        await handle.signal(BuildWorkflow.cancel, CancelCommand(requested_by="me", reason="changed my mind"))
        assert (await outcome(handle)).status == "cancelled"
    assert factory.host.machines_up == 0
    assert factory.recording.state("cancelled").status == "cancelled"


async def test_temporals_own_cancellation_ends_a_build_the_same_way(factory: Factory) -> None:
    factory.host.hold = "build_base_layer"
    async with factory.running():
        handle = await factory.start("native")
        await asyncio.wait_for(factory.host.held.wait(), 30)
        await handle.cancel()
        assert (await outcome(handle)).status == "cancelled"
    assert factory.recording.state("native").status == "cancelled"


async def test_cancelling_a_parked_build_ends_it(factory: Factory) -> None:
    factory.host.failures["resolve_recipe"] = [Verdict.because("package.not_found", "no such package")]
    async with factory.running():
        handle = await factory.start("parked")
        await until_status(factory, "parked", "failed")
        await handle.signal("cancel")
        assert (await outcome(handle)).status == "cancelled"


async def test_a_build_nobody_retries_ends_after_a_week(factory: Factory) -> None:
    factory.host.failures["resolve_recipe"] = [Verdict.because("package.not_found", "no such package")]
    async with factory.running():
        ended = await outcome(await factory.start("week"))
    assert ended.status == "failed"
    state = factory.recording.state("week")
    assert state.terminal
    assert state.updated_at - state.requested_at >= timedelta(days=7)


async def test_steps_whose_results_the_new_host_lacks_run_again(factory: Factory) -> None:
    factory.host.failures["assemble_artifacts"] = [Verdict.because("image.too_large", "too large")]
    async with factory.running():
        handle = await factory.start("moved")
        await until_status(factory, "moved", "failed")
        factory.host.missing = frozenset({await _package_layer_digest(handle)})
        await handle.signal("retry")
        assert (await outcome(handle)).status == "completed"
    assert factory.host.calls["build_base_layer"] == 1
    assert factory.host.calls["build_package_layer"] == 2
    assert factory.host.calls["build_configuration_layer"] == 2


async def _package_layer_digest(handle: WorkflowHandle[BuildWorkflow, BuildOutcome]) -> str:
    history = await handle.fetch_history()
    for event in history.events:
        if event.HasField("activity_task_completed_event_attributes"):
            payload = event.activity_task_completed_event_attributes.result.payloads[0]
            found = json.loads(payload.data)
            if found.get("layer", {}).get("kind") == "package":
                return str(found["layer"]["blob"]["digest"])
    raise AssertionError("the history holds no package layer")


async def test_a_metered_build_that_the_log_refuses_is_told_at_once_and_its_id_may_be_used_again(
    factory: Factory,
) -> None:
    async def connected() -> Client:
        return factory.client

    request = BuildRequest(
        build_id="metered", org_id="guest-a", requested_by="guest", recipe={"name": "demo"}, plan="guest"
    )
    client = FactoryClient(connected)
    factory.recording.refusal = Verdict.because("build.quota", "all are spent", path="builds_per_day", next="Wait.")
    async with factory.running():
        with pytest.raises(Verdict) as refused:
            await client.start_build(request, QueueTerms())
        assert refused.value.problems == factory.recording.refusal.problems
        assert factory.recording.names("metered") == []
        factory.recording.refusal = None
        await client.start_build(request, QueueTerms())
        await client.start_build(request, QueueTerms())
        await until_status(factory, "metered", "completed")
        await client.start_build(request, QueueTerms())
    assert factory.recording.names("metered").count("build.requested.v1") == 1
