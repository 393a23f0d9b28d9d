"""Workflows that are ended from outside, on a real Temporal server: the reconciler ends their jobs, once."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, ScheduleOverlapPolicy, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.keeping.activities import KeepingActivities
from activities.keeping.temporal_engine import TemporalEngine
from domain.build.inputs import BuildRequest, QueueTerms
from domain.errors import Fault
from domain.test_run.inputs import RunRequest
from domain.vm.orders import DeleteVm
from tests.fakes.host import QUEUE, FakeHost
from tests.fakes.keeping import FakeOpenJobs, nothing_to_mend
from tests.fakes.recording import FakeRecording
from tests.integration.workflows.test_runs_on_machines import HOST, Range
from tests.integration.workflows.test_test_runs import suite_plan
from tests.integration.workflows.test_vm_losses import until
from tests.integration.workflows.vms import is_free
from tests.machines import request
from tests.sandbox import strict_runner
from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput
from workflows.catalog import WORKFLOWS
from workflows.client import FactoryClient
from workflows.commands import CancelCommand, RetryCommand
from workflows.fleet import FleetWorkflow
from workflows.reconcile import Reconciled, ReconcileWorkflow
from workflows.schedules import DUTIES, RECONCILER, ensure_schedules
from workflows.signals import SturdySignals
from workflows.suite_client import SuiteClient
from workflows.vm import VmWorkflow
from workflows.vm_client import attributes_of
from workflows.vm_models import VmInput

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@dataclass
class Works(Range):
    """Builds, machines and test runs, with everything that ends them."""

    builds: FakeRecording = field(default_factory=FakeRecording)
    builder: FakeHost = field(default_factory=FakeHost)
    accepted: set[str] = field(default_factory=set[str])

    def core(self) -> Worker:
        jobs = FakeOpenJobs(
            builds=lambda: [self.builds.state(key) for key, stream in self.builds.streams.items() if stream],
            vms=lambda: [self.recording.state(key) for key, stream in self.recording.streams.items() if stream],
            runs=lambda: [self.log.run(key) for key, stream in self.log.runs.items() if stream],
            accepted=self.accepted,
        )
        return Worker(
            self.client,
            task_queue=policies.CORE_QUEUE,
            workflows=list(WORKFLOWS),
            activities=[
                self.builds.record_build,
                self.builds.find_evidence,
                self.builds.find_usual_durations,
                self.recording.record_vm,
                self.log.record_test_run,
                *KeepingActivities(jobs, TemporalEngine(self.client)).all(),
                nothing_to_mend,
            ],
            interceptors=[TypedFailures(), SturdySignals()],
            workflow_runner=strict_runner(),
        )

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Run everything."""
        host = self.builder
        own = Worker(
            self.client,
            task_queue=QUEUE,
            activities=host.steps(),
            interceptors=[TypedFailures()],
            max_heartbeat_throttle_interval=policies.HEARTBEAT_THROTTLE / 4,  # of two seconds' silence, most is left
        )
        shared: list[Any] = [self.guests.write_report]
        async with (
            own,
            Worker(self.client, task_queue=policies.IMAGING_QUEUE, activities=shared),
            self.running(HOST),
        ):
            await self.fleet.signal(FleetWorkflow.host_up, host.capacity(2))
            yield

    async def build(self) -> tuple[str, WorkflowHandle[BuildWorkflow, Any]]:
        build_id = str(uuid.uuid4())
        request = BuildRequest(build_id=build_id, org_id="org", requested_by="tester", recipe={"name": "demo"})
        handle = await self.client.start_workflow(
            BuildWorkflow.run, BuildInput(request=request), id=f"build-{build_id}", task_queue=policies.CORE_QUEUE
        )
        return build_id, handle

    async def reconcile(self) -> Reconciled:
        return await asyncio.wait_for(
            self.client.execute_workflow(
                ReconcileWorkflow.run, id=f"reconcile-{uuid.uuid4()}", task_queue=policies.CORE_QUEUE
            ),
            60,
        )

    async def forget(self, workflow_id: str) -> None:
        """Have the workflow engine forget a workflow."""
        request = DeleteWorkflowExecutionRequest(
            namespace=self.client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id)
        )
        await self.client.workflow_service.delete_workflow_execution(request)

        async def unknown() -> bool:
            try:
                await self.client.get_workflow_handle(workflow_id).describe()
            except RPCError as error:
                return error.status is RPCStatusCode.NOT_FOUND
            return False

        await until(unknown)


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Lose a host after two seconds of silence."""
    monkeypatch.setattr(policies, "HOST_SILENCE", timedelta(seconds=2))
    monkeypatch.setattr(policies, "HEARTBEAT", timedelta(seconds=2))
    monkeypatch.setattr(policies, "LOST_PICKUP", timedelta(seconds=1))


@pytest_asyncio.fixture(loop_scope="session")
async def works(environment: WorkflowEnvironment) -> Works:
    """A core whose clocks run as they do."""
    address = environment.client.service_client.config.target_host
    return Works(await Client.connect(address, data_converter=pydantic_data_converter))


async def happens(holds: Callable[[], bool]) -> None:
    async def answer() -> bool:
        return holds()

    await until(answer)


async def test_a_terminated_build_is_cancelled_once_with_the_words_of_who_ended_it(works: Works) -> None:
    works.builder.hold = "verify_machines"
    async with works.working():
        build_id, handle = await works.build()
        await asyncio.wait_for(works.builder.held.wait(), 30)
        assert works.builder.machines_up == 2
        assert (await works.reconcile()).ended == ()
        await handle.terminate(reason="the demo is over")
        ended = (await works.reconcile()).ended
        state = works.builds.state(build_id)
        assert state.status == "cancelled"
        assert {step.status for step in state.steps} == {"completed", "cancelled"}
        assert ended == (f"build-{build_id}: its workflow was terminated: the demo is over",)
        assert works.builder.machines_up == 0
        await works.shows(lambda fleet: sum(host.builds for host in fleet.hosts) == 0)
        events = works.builds.names(build_id)
        assert (await works.reconcile()) == Reconciled(open=0)
        assert works.builds.names(build_id) == events


async def test_a_build_whose_workflow_is_forgotten_has_failed_for_good(works: Works) -> None:
    works.builder.hold = "assemble_artifacts"
    async with works.working():
        build_id, _ = await works.build()
        await asyncio.wait_for(works.builder.held.wait(), 30)
        await works.forget(f"build-{build_id}")
        await works.reconcile()
        state = works.builds.state(build_id)
        assert (state.status, state.terminal) == ("failed", True)
        assert state.failure is not None
        assert (state.failure.step, state.failure.kind) == ("assemble", "fault")
        assert state.failure.problems[0].code == "workflow.gone"


async def test_a_parked_build_that_is_terminated_can_no_longer_be_retried(works: Works) -> None:
    works.builder.failures["assemble_artifacts"] = [Fault.because("disk.full", "no room") for _ in range(5)]
    async with works.working():
        build_id, handle = await works.build()
        await asyncio.wait_for(works.builds.reached(build_id, "failed"), 60)
        assert (await works.reconcile()).open == 1
        assert not works.builds.state(build_id).terminal
        await handle.terminate()
        await works.reconcile()
        state = works.builds.state(build_id)
        assert (state.status, state.terminal) == ("failed", True)
        assert state.failure is not None
        assert state.failure.problems[0].code == "disk.full"


async def test_a_retried_build_that_goes_on_as_a_new_run_is_left_alone(works: Works) -> None:
    works.builder.failures["assemble_artifacts"] = [Fault.because("disk.full", "no room") for _ in range(5)]
    async with works.working():
        build_id, handle = await works.build()
        await asyncio.wait_for(works.builds.reached(build_id, "failed"), 60)
        works.builder.hold = "boot_artifacts"
        await handle.signal(BuildWorkflow.retry, RetryCommand())
        await asyncio.wait_for(works.builder.held.wait(), 30)
        assert await works.reconcile() == Reconciled(open=1)
        assert works.builds.state(build_id).status == "testing"
        await works.client.get_workflow_handle(handle.id).signal("cancel", CancelCommand())
        await asyncio.wait_for(works.builds.reached(build_id, "cancelled"), 30)


async def test_a_terminated_machine_is_removed_and_its_lease_given_back(works: Works) -> None:
    async with works.working():
        vm_id = await works.ready()
        await works.shows(lambda fleet: not is_free(fleet))
        await works.handle(vm_id).terminate(reason="by hand")
        await works.reconcile()
        state = works.recording.state(vm_id)
        assert (state.status, state.note) == ("deleted", None)
        assert works.hosts[HOST].domains == {}
        await works.shows(is_free)
        assert (await works.reconcile()) == Reconciled(open=0)
        assert works.recording.names(vm_id)[-2:] == ["deleting", "deleted"]


async def test_a_machine_whose_host_is_away_is_ended_without_it(works: Works) -> None:
    async with works.working():
        vm_id = await works.ready()
        await works.kill(HOST)
        await works.handle(vm_id).terminate()
        await works.reconcile()
        state = works.recording.state(vm_id)
        assert state.status == "deleted"
        assert HOST in str(state.note)


async def test_a_terminated_test_run_is_an_error_and_its_machines_are_gone(works: Works) -> None:
    works.guests.hold = "web"
    async with works.working():
        run_id, handle = await works.start(suite_plan())
        await asyncio.wait_for(works.guests.held.wait(), 30)
        await handle.terminate(reason="by hand")
        await works.reconcile()
        run = works.log.run(run_id)
        assert run.status == "error"
        assert run.problems[0].message.endswith("its workflow was terminated: by hand.")
        await works.nothing_left(run_id)
        assert (await works.reconcile()) == Reconciled(open=0)


async def test_an_orphan_that_cannot_be_ended_does_not_keep_the_others(works: Works) -> None:
    async with works.working():
        stuck, fine = await works.ready(), await works.ready()
        works.hosts[HOST].failures["delete_vm"] = [Fault.because("hypervisor.busy", "not now") for _ in range(3)]
        await works.handle(stuck).terminate()
        first = await works.reconcile()
        assert first.ended == ()
        assert "not now" in first.left[0]
        await works.handle(fine).terminate()
        second = await works.reconcile()
        assert len(second.ended) == 2
        assert {works.recording.state(vm_id).status for vm_id in (stuck, fine)} == {"deleted"}


async def test_the_schedule_is_made_once_and_reconciles_by_itself(works: Works) -> None:
    async with works.working():
        vm_id = await works.ready()
        await works.handle(vm_id).terminate()
        await ensure_schedules(works.client)
        await works.recording.until(vm_id, lambda vm: vm.status == "deleted")
        schedule = works.client.get_schedule_handle(RECONCILER)
        await schedule.pause(note="while we look")
        await ensure_schedules(works.client)
        described = (await schedule.describe()).schedule
        assert described.state.paused
        assert described.policy.overlap == ScheduleOverlapPolicy.SKIP
        for duty in DUTIES:  # the server is shared, and none of them is for other tests
            await works.client.get_schedule_handle(duty.name).delete()


async def test_a_deleted_machine_is_no_orphan(works: Works) -> None:
    async with works.working():
        vm_id = await works.ready()
        await works.vms.command(vm_id, DeleteVm(command_id="end"))
        await works.ended(vm_id)
        assert (await works.reconcile()) == Reconciled(open=0)


async def started_early(works: Works) -> tuple[str, str, str]:
    """Start a build, a run and a machine while nobody works, so that the log knows of none."""
    build_id, run_id, vm_id = (str(uuid.uuid4()) for _ in range(3))
    works.accepted.update((build_id, run_id, vm_id))

    async def connected() -> Client:
        return works.client

    build = BuildRequest(build_id=build_id, org_id="org", requested_by="tester", recipe={"name": "early"})
    await FactoryClient(connected).start_build(build, QueueTerms())
    run = RunRequest(run_id=run_id, org_id="org", requested_by="tester", input_digest="d", plan=suite_plan())
    await SuiteClient(connected).start_run(run)
    machine = request(vm_id)
    await works.client.start_workflow(
        VmWorkflow.run, VmInput(request=machine), id=f"vm-{vm_id}", task_queue=policies.CORE_QUEUE,
        search_attributes=attributes_of(machine),
    )  # fmt: skip
    return build_id, run_id, vm_id


async def test_what_is_cancelled_before_the_log_has_it_is_recorded_and_ended(works: Works) -> None:
    build_id, run_id, vm_id = await started_early(works)
    for name in (f"build-{build_id}", f"test-run-{run_id}", f"vm-{vm_id}"):  # at their first step
        await works.client.get_workflow_handle(name).cancel()
    async with works.working():

        async def all_ended() -> bool:
            streams = (works.builds.streams[build_id], works.log.runs[run_id], works.recording.streams[vm_id])
            return all(streams) and (await works.reconcile()) == Reconciled(open=0)

        await until(all_ended)
        assert works.builds.names(build_id) == ["build.requested.v1", "build.cancelled.v1"]
        assert works.log.run(run_id).status == "cancelled"
        assert works.recording.state(vm_id).status == "deleted"


async def test_what_is_terminated_before_the_log_has_it_is_recorded_and_ended(works: Works) -> None:
    build_id, run_id, vm_id = await started_early(works)
    early = [f"build-{build_id}", f"test-run-{run_id}", f"vm-{vm_id}"]
    for name in early:
        await works.client.get_workflow_handle(name).terminate(reason="too early")
    ended: set[str] = set()
    async with works.working():

        async def all_ended() -> bool:  # what lists workflows lags a little
            ended.update(line.split(":")[0] for line in (await works.reconcile()).ended)
            return ended == set(early)

        await until(all_ended)
        assert works.builds.names(build_id) == ["build.requested.v1", "build.cancelled.v1"]
        assert works.log.run(run_id).status == "error"
        assert works.recording.state(vm_id).status == "deleted"
        assert (await works.reconcile()) == Reconciled(open=0)
