"""Test runs on the real workflows of machines and of the fleet, with hosts and guests of fakes."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from domain.errors import Verdict
from domain.test_run.inputs import RunPlan, RunRequest
from domain.vm.orders import DeleteVm
from tests.fakes.test_runs import FakeGuests, RunRecording
from tests.fakes.vm_host import FakeVmHost
from tests.integration.workflows.test_test_runs import Handle, outcome, suite_plan
from tests.integration.workflows.vms import Yard
from tests.sandbox import strict_runner
from workflows import policies
from workflows.catalog import WORKFLOWS
from workflows.commands import CancelCommand
from workflows.signals import SturdySignals
from workflows.test_run import RunWorkflow
from workflows.test_run_models import RunInput, workflow_id

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

HOST = "suites"


@dataclass
class Range(Yard):
    """A yard whose machines are tested."""

    guests: FakeGuests = field(default_factory=FakeGuests)
    log: RunRecording = field(default_factory=RunRecording)

    def core(self) -> Worker:
        return Worker(
            self.client,
            task_queue=policies.CORE_QUEUE,
            workflows=list(WORKFLOWS),
            activities=[self.recording.record_vm, self.log.record_suite, self.log.record_test_run],
            interceptors=[TypedFailures(), SturdySignals()],
            workflow_runner=strict_runner(),
        )

    def activities(self, host: FakeVmHost) -> list[Any]:
        return [*super().activities(host), self.guests.check_vm, self.guests.run_step]

    @asynccontextmanager
    async def testing(self) -> AsyncGenerator[FakeVmHost]:
        """Run everything with one host."""
        reports = Worker(self.client, task_queue=policies.IMAGING_QUEUE, activities=[self.guests.write_report])
        async with reports, self.running(HOST):
            yield self.hosts[HOST]

    async def start(self, plan: RunPlan) -> tuple[str, Handle]:
        run_id = str(uuid.uuid4())
        request = RunRequest(run_id=run_id, org_id="org", requested_by="tester", input_digest="d", plan=plan)
        handle = await self.client.start_workflow(
            RunWorkflow.run, RunInput(request=request), id=workflow_id(run_id), task_queue=policies.CORE_QUEUE
        )
        return run_id, handle

    def vm_ids(self, run_id: str) -> list[str]:
        return [str(uuid.uuid5(uuid.UUID(run_id), slot)) for slot in ("primary", "client")]

    async def nothing_left(self, run_id: str) -> None:
        """See that both machines are deleted, on the host and in the log."""
        for vm_id in self.vm_ids(run_id):
            await self.ended(vm_id)
            assert self.recording.state(vm_id).status == "deleted"
        assert self.hosts[HOST].domains == {}


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Lose a host after two seconds of silence."""
    monkeypatch.setattr(policies, "HOST_SILENCE", timedelta(seconds=2))
    monkeypatch.setattr(policies, "HEARTBEAT", timedelta(seconds=2))
    monkeypatch.setattr(policies, "LOST_PICKUP", timedelta(seconds=1))


@pytest_asyncio.fixture(loop_scope="session")
async def range_(environment: WorkflowEnvironment) -> Range:
    """A core whose clocks run as they do: where they jump, a machine's time is over at once."""
    address = environment.client.service_client.config.target_host
    return Range(await Client.connect(address, data_converter=pydantic_data_converter))


async def test_a_suites_machines_are_made_tested_and_gone(range_: Range) -> None:
    async with range_.testing():
        run_id, handle = await range_.start(suite_plan())
        assert (await outcome(handle)).status == "passed"
        await range_.nothing_left(run_id)
    state = range_.log.run(run_id)
    assert {machine.accelerator for machine in state.machines} == {"tcg"}
    specs = [range_.recording.state(vm_id).spec for vm_id in range_.vm_ids(run_id)]
    assert [spec.networks[0].hostname for spec in specs] == ["primary", "client"]
    assert {spec.networks[0].scope for spec in specs} == {run_id}


async def test_a_failed_case_is_photographed_before_the_machine_goes(range_: Range) -> None:
    range_.guests.wrong = {"service_running"}
    async with range_.testing() as host:
        run_id, handle = await range_.start(suite_plan())
        assert (await outcome(handle)).status == "failed"
        await range_.nothing_left(run_id)
    assert host.calls["take_screenshot"] == 1


async def test_cancelling_while_machines_are_made_removes_them(range_: Range) -> None:
    async with range_.testing() as host:
        host.hold = {"await_agent"}
        run_id, handle = await range_.start(suite_plan())
        await asyncio.wait_for(host.held.wait(), 30)
        await handle.signal(RunWorkflow.cancel, CancelCommand(requested_by="me"))
        assert (await outcome(handle)).status == "cancelled"
        await range_.nothing_left(run_id)


async def test_held_machines_stay_until_their_time_or_until_deleted(range_: Range) -> None:
    range_.guests.wrong = {"service_running"}
    async with range_.testing():
        run_id, handle = await range_.start(suite_plan(hold=900))
        assert (await outcome(handle)).status == "failed"
        held_until = range_.log.run(run_id).held_until
        assert held_until is not None
        for vm_id in range_.vm_ids(run_id):
            await range_.recording.until(vm_id, lambda vm: vm.expires_at is not None and vm.expires_at <= held_until)
            assert range_.recording.state(vm_id).status == "running"
            await range_.vms.command(vm_id, DeleteVm(command_id="end"))
        await range_.nothing_left(run_id)


async def test_a_guest_that_never_answers_fails_the_run_with_its_own_words(range_: Range) -> None:
    async with range_.testing() as host:
        silent = Verdict.because("guest.agent_silent", "the guest agent never answered")
        host.failures["await_agent"] = [silent, silent]
        run_id, handle = await range_.start(suite_plan())
        ended = await outcome(handle)
        await range_.nothing_left(run_id)
    assert (ended.status, ended.problems[0].code) == ("failed", "guest.agent_silent")


async def test_a_machine_that_no_host_could_hold_ends_the_run_with_the_reason(range_: Range) -> None:
    async with range_.testing():
        run_id, handle = await range_.start(suite_plan(memory=1 << 19))
        ended = await outcome(handle)
        await range_.nothing_left(run_id)
    assert (ended.status, ended.problems[0].code) == ("error", "host.memory")


async def test_machines_for_which_there_is_no_room_are_not_waited_for_without_end(
    range_: Range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MACHINES_LIMIT", timedelta(seconds=3))
    async with range_.testing():
        run_id, handle = await range_.start(suite_plan(memory=3800))
        ended = await outcome(handle)
        await range_.nothing_left(run_id)
    assert (ended.status, ended.problems[0].code) == ("error", "host.no_room")


async def test_a_host_lost_in_a_case_is_an_error(range_: Range) -> None:
    range_.guests.hold = "web"
    async with range_.testing() as host:
        run_id, handle = await range_.start(suite_plan())
        await asyncio.wait_for(range_.guests.held.wait(), 30)
        host.fence()
        ended = await asyncio.wait_for(handle.result(), 110)
        assert (ended.status, ended.problems[0].retryable) == ("error", True)
        assert range_.log.run(run_id).status == "error"
