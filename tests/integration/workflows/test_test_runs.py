"""Test runs on a real Temporal server that skips time, with machines and guests of fakes."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures, read_failure
from domain.errors import Fault, Verdict
from domain.suite.commands import ChangeSuite, CreateSuite
from domain.suite.inputs import SuiteRequest
from domain.suite.parse import parse_suite
from domain.suite.readiness import Target
from domain.test_run.inputs import RunMachine, RunPlan, RunRequest, RunTarget
from domain.test_run.planning import plan_verification
from domain.test_run.suite_plan import Selection, plan_suite
from domain.vm.spec import ImageRef
from tests.fakes.test_runs import HOST_QUEUE, FakeGuests, FakeVmWorkflow, RunRecording
from tests.sandbox import strict_runner
from workflows import policies
from workflows.commands import CancelCommand
from workflows.define import DefineWorkflow
from workflows.define_models import DefineInput
from workflows.test_run import RunWorkflow
from workflows.test_run_models import RunInput, RunOutcome, workflow_id

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

Handle = WorkflowHandle[RunWorkflow, RunOutcome]
SUITE: dict[str, Any] = {
    "name": "smoke",
    "slots": ["primary", "client"],
    "predefined": ["boot"],
    "setup": [{"action": "put_file", "path": "/srv/hello", "text": "hello"}],
    "cases": [
        {
            "name": "web",
            "steps": [
                {"type": "service_running", "params": {"service": "nginx"}},
                {"type": "port_listening", "params": {"port": 80}},
                {"action": "command", "command": "nginx -t"},
            ],
        },
        {
            "name": "from the client",
            "slot": "client",
            "steps": [{"type": "http_responds", "params": {"url": "http://${slot:primary}/"}}],
        },
        {"name": "logs", "steps": [{"action": "get_file", "path": "/var/log/nginx/access.log"}]},
    ],
    "teardown": [{"action": "command", "command": "systemctl stop nginx"}],
}
IMAGE = ImageRef(digest="ab" * 32, bytes=1 << 20, format="qcow2", source="build", source_id="b1", name="web")


@dataclass
class Lab:
    """The core, one host, and machines that are workflows only."""

    client: Client
    guests: FakeGuests = field(default_factory=FakeGuests)
    log: RunRecording = field(default_factory=RunRecording)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        guests = self.guests
        core = Worker(
            self.client,
            task_queue=policies.CORE_QUEUE,
            workflows=[RunWorkflow, DefineWorkflow, FakeVmWorkflow],
            activities=[self.log.record_suite, self.log.record_test_run],
            interceptors=[TypedFailures()],
            workflow_runner=strict_runner(),
        )
        shared = Worker(self.client, task_queue=policies.IMAGING_QUEUE, activities=[guests.write_report])
        host = Worker(
            self.client,
            task_queue=HOST_QUEUE,
            activities=[guests.check_vm, guests.run_step, guests.take_screenshot],
            interceptors=[TypedFailures()],
            max_heartbeat_throttle_interval=policies.HEARTBEAT_THROTTLE,
        )
        async with core, shared, host:
            yield

    async def start(self, plan: RunPlan) -> tuple[str, Handle]:
        run_id = str(uuid.uuid4())
        request = RunRequest(run_id=run_id, org_id="org", requested_by="tester", input_digest="d", plan=plan)
        handle = await self.client.start_workflow(
            RunWorkflow.run, RunInput(request=request), id=workflow_id(run_id), task_queue=policies.CORE_QUEUE
        )
        return run_id, handle

    async def finished(self, plan: RunPlan) -> tuple[str, RunOutcome]:
        run_id, handle = await self.start(plan)
        return run_id, await outcome(handle)

    def statuses(self, run_id: str) -> dict[str, str]:
        return {case.name: case.status for case in self.log.run(run_id).cases}

    async def machines_gone(self, run_id: str) -> list[str | None]:
        """Wait until every machine has ended, and answer its note."""
        ends: list[str | None] = []
        for slot in ("primary", "client"):
            vm_id = uuid.uuid5(uuid.UUID(run_id), slot)
            ended = await asyncio.wait_for(self.client.get_workflow_handle(f"vm-{vm_id}").result(), 30)
            ends.append(ended["note"])
        return ends


def suite_plan(document: dict[str, Any] = SUITE, *, memory: int = 512, hold: int = 0, **more: Any) -> RunPlan:
    """Plan the suite; the client's machine has `memory`, which decides its fate."""
    slots = ["primary", {"name": "client", "memory": memory}]
    parsed = parse_suite({**document, "slots": slots})
    targets = {
        slot: Target(slot=slot, source="build", source_id="b1", image=IMAGE, verified=True)
        for slot in ("primary", "client")
    }
    target = RunTarget(kind="suite", id="s1", version=1)
    return plan_suite(parsed, target, targets, hold_seconds=hold, **more)


async def outcome(handle: Handle) -> RunOutcome:
    return await asyncio.wait_for(handle.result(), 60)


@pytest.fixture
def lab(environment: WorkflowEnvironment) -> Lab:
    return Lab(environment.client)


async def test_a_suite_runs_every_case_in_order_and_passes(lab: Lab) -> None:
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
        assert await lab.machines_gone(run_id) == [None, None]
    assert (ended.status, ended.failure) == ("passed", None)
    assert list(lab.statuses(run_id)) == [
        "boot@primary", "boot@client", "setup", "web", "from the client", "logs", "teardown",
    ]  # fmt: skip
    assert set(lab.statuses(run_id).values()) == {"passed"}
    state = lab.log.run(run_id)
    assert all(machine.ready is not None for machine in state.machines)
    assert {file.name for file in state.files} == {"report.html", "junit.xml", "report.json", "kept"}


async def test_claims_about_one_machine_are_asked_in_one_round_trip(lab: Lab) -> None:
    async with lab.running():
        await lab.finished(suite_plan())
    web = [check for check in lab.guests.checks if "web" in check.label]
    assert [len(check.checks) for check in web] == [2]
    assert lab.guests.checks[-1].checks[0].assertion.params.model_dump()["url"] == "http://primary.internal/"


def both(*more: dict[str, Any]) -> RunPlan:
    """A case that asks two machines, and does more then."""
    steps = [
        {"type": "port_listening", "params": {"port": 80}},
        {"type": "ping_reaches", "slot": "client", "params": {"host": "${slot:primary}"}},
    ]
    return suite_plan({"name": "pair", "cases": [{"name": "both", "steps": [*steps, *more]}]})


def asked(lab: Lab) -> list[tuple[str, float | None]]:
    return sorted((check.label.rpartition(".")[2], check.settle) for check in lab.guests.checks)


async def test_two_machines_are_asked_at_the_same_time_and_told_of_in_the_order_of_the_steps(lab: Lab) -> None:
    lab.guests.together = asyncio.Barrier(2)
    async with lab.running():
        run_id, ended = await lab.finished(both())
    assert ended.status == "passed"
    results = lab.log.run(run_id).cases[0].results
    assert [(r.slot, r.type) for r in results] == [("primary", "port_listening"), ("client", "ping_reaches")]
    assert asked(lab) == [("000", None), ("001", 0.0)]


async def test_what_does_not_hold_before_its_turn_is_asked_in_its_turn(lab: Lab) -> None:
    lab.guests.late = {"ping_reaches"}
    async with lab.running():
        run_id, ended = await lab.finished(both({"action": "command", "command": "true"}))
    assert ended.status == "passed"
    assert [r.type for r in lab.log.run(run_id).cases[0].results] == ["port_listening", "ping_reaches", "command"]
    assert asked(lab) == [("000", None), ("001", 0.0), ("002", None)]
    assert [step.label.rpartition(".")[2] for step in lab.guests.steps] == ["003"]


async def test_a_case_ends_at_its_first_failed_step_whatever_was_asked_meanwhile(lab: Lab) -> None:
    lab.guests.wrong = {"port_listening"}
    lab.guests.hold = "both.001"
    async with lab.running():
        run_id, ended = await lab.finished(both())
        assert await lab.machines_gone(run_id) == [None, None]
    assert ended.status == "failed"
    assert [(r.slot, r.passed) for r in lab.log.run(run_id).cases[0].results] == [("primary", False)]
    assert len(lab.guests.let_go) == len([label for label in lab.guests.let_go if label.endswith("001")])


async def test_a_fault_of_one_machine_leaves_no_other_asked(lab: Lab) -> None:
    lab.guests.failures["check_vm"] = [Fault.because("machine.unreachable", "libvirt is away")] * 9
    lab.guests.label, lab.guests.hold = "both.000", "both.001"
    async with lab.running():
        run_id, ended = await lab.finished(both())
        await lab.machines_gone(run_id)
    assert (ended.status, ended.problems[0].code) == ("error", "machine.unreachable")
    assert [label.rpartition(".")[2] for label in lab.guests.let_go] == ["001"]


async def test_a_fault_before_its_turn_counts_when_its_turn_comes(lab: Lab) -> None:
    lab.guests.failures["check_vm"] = [Fault.because("machine.unreachable", "libvirt is away")] * 9
    lab.guests.label = "both.001"
    async with lab.running():
        run_id, ended = await lab.finished(both())
    assert (ended.status, ended.problems[0].code) == ("error", "machine.unreachable")
    assert [r.slot for r in lab.log.run(run_id).cases[0].results] == ["primary"]


async def test_a_guest_that_is_silent_before_its_turn_is_asked_again_in_it(lab: Lab) -> None:
    lab.guests.failures["check_vm"] = [Verdict.because("guest.agent_silent", "the agent does not answer")]
    lab.guests.label = "both.001"
    async with lab.running():
        run_id, ended = await lab.finished(both())
    assert ended.status == "passed"
    assert [r.slot for r in lab.log.run(run_id).cases[0].results] == ["primary", "client"]


async def test_cancelling_reaches_both_machines_that_are_asked(lab: Lab) -> None:
    lab.guests.hold = "both"
    async with lab.running():
        run_id, handle = await lab.start(both())
        await asyncio.wait_for(lab.guests.held.wait(), 30)
        await handle.signal(RunWorkflow.cancel, CancelCommand(requested_by="me", reason="changed my mind"))
        assert (await outcome(handle)).status == "cancelled"
        assert await lab.machines_gone(run_id) == [None, None]
    assert sorted(label.rpartition(".")[2] for label in lab.guests.let_go) == ["000", "001"]


async def test_a_wrong_guest_fails_its_case_and_the_others_still_run(lab: Lab) -> None:
    lab.guests.wrong = {"service_running"}
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
        await lab.machines_gone(run_id)
    assert ended.status == "failed"
    assert ended.failure is not None
    assert ended.failure.startswith("web: service_running")
    statuses = lab.statuses(run_id)
    assert (statuses["web"], statuses["from the client"], statuses["teardown"]) == ("failed", "passed", "passed")
    assert not [step for step in lab.guests.steps if getattr(step.step, "command", "") == "nginx -t"]
    assert len(lab.guests.pictures) == 1
    assert {e.kind for e in lab.guests.reports[0].report.evidence} == {"screenshot", "serial", "file"}
    assert [case.status for case in lab.guests.reports[0].report.cases if case.name == "web"] == ["failed"]


async def test_a_failed_setup_skips_the_cases_but_not_the_teardown(lab: Lab) -> None:
    lab.guests.wrong = {"put_file"}
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
    assert ended.status == "failed"
    statuses = lab.statuses(run_id)
    assert (statuses["setup"], statuses["web"], statuses["teardown"]) == ("failed", "skipped", "passed")


async def test_what_the_guest_cannot_answer_fails_the_case_with_the_reason(lab: Lab) -> None:
    lab.guests.failures["run_step"] = [Verdict.because("guest.unusable", "its shell is gone")]
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
    assert ended.status == "failed"
    setup = lab.log.run(run_id).case("setup")
    assert setup is not None
    assert (setup.status, setup.problems[0].code) == ("failed", "guest.unusable")


async def test_a_fault_that_stays_makes_the_run_an_error(lab: Lab) -> None:
    lab.guests.failures["run_step"] = [Fault.because("machine.unreachable", "libvirt is away")] * 9
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
        await lab.machines_gone(run_id)
    assert (ended.status, ended.problems[0].code) == ("error", "machine.unreachable")
    assert lab.statuses(run_id)["web"] == "skipped"


async def test_a_fault_that_passes_is_not_noticed(lab: Lab) -> None:
    lab.guests.failures["run_step"] = [Fault.because("machine.unreachable", "libvirt is away")]
    async with lab.running():
        assert (await lab.finished(suite_plan()))[1].status == "passed"


async def test_a_lost_host_is_an_error_within_moments_and_not_a_failure(lab: Lab) -> None:
    lab.guests.hold = "from-the-client"
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan(memory=132))
        await lab.machines_gone(run_id)
    assert (ended.status, ended.problems[0].code) == ("error", "host.lost")
    assert "client" in ended.problems[0].message


async def test_an_image_that_never_answers_fails_the_run_with_the_machines_words(lab: Lab) -> None:
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan(memory=131))
        await lab.machines_gone(run_id)
    assert (ended.status, ended.problems[0].code) == ("failed", "guest.agent_silent")
    assert set(lab.statuses(run_id).values()) == {"skipped"}
    assert lab.guests.pictures


@pytest.mark.parametrize(("code", "status"), [("guest.off", "failed"), ("vm.wrong_state", "error")])
async def test_a_machine_that_goes_off_in_its_boot_ends_the_run_with_the_reason(
    lab: Lab, code: str, status: str
) -> None:
    lab.guests.failures["check_vm"] = [Verdict.because(code, "it is off")]
    lab.guests.label = "boot-client"
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan(memory=134))
        await lab.machines_gone(run_id)
    assert (ended.status, ended.problems[0].code) == (status, code)
    assert ended.problems[0].message == "client: it is off"


@pytest.mark.parametrize("code", ["vm.wrong_state", "lease.superseded"])
async def test_a_machine_that_was_taken_away_from_the_run_is_an_error_and_no_failed_case(lab: Lab, code: str) -> None:
    lab.guests.failures["check_vm"] = [Verdict.because(code, "somebody stopped the VM")]
    lab.guests.label = "web"
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
        await lab.machines_gone(run_id)
    assert (ended.status, ended.problems[0].code) == ("error", code)
    assert lab.statuses(run_id)["web"] == "error"


async def test_the_serial_log_of_a_machine_without_a_screen_is_kept(lab: Lab) -> None:
    lab.guests.wrong = {"service_running"}
    lab.guests.dark = True
    async with lab.running():
        run_id, _ = await lab.finished(suite_plan())
    names = {file.name for file in lab.log.run(run_id).files}
    assert "serial-primary.log" in names
    assert not [name for name in names if name.endswith(".png")]


async def test_a_refused_machine_ends_the_run_with_its_reason(lab: Lab) -> None:
    async with lab.running():
        ended = (await lab.finished(suite_plan(memory=133)))[1]
    assert (ended.status, ended.problems[0].code) == ("error", "vm.quota")


async def test_cancelling_in_the_middle_of_a_case_gives_the_machines_back(lab: Lab) -> None:
    lab.guests.hold = "web"
    async with lab.running():
        run_id, handle = await lab.start(suite_plan(hold=600))
        await asyncio.wait_for(lab.guests.held.wait(), 30)
        await handle.signal(RunWorkflow.cancel, CancelCommand(requested_by="me", reason="changed my mind"))
        ended = await outcome(handle)
        assert await lab.machines_gone(run_id) == [None, None]
    assert (ended.status, ended.failure) == ("cancelled", "changed my mind")
    assert lab.statuses(run_id)["web"] == "cancelled"


async def test_temporals_own_cancellation_does_the_same(lab: Lab) -> None:
    lab.guests.hold = "web"
    async with lab.running():
        run_id, handle = await lab.start(suite_plan())
        await asyncio.wait_for(lab.guests.held.wait(), 30)
        await handle.cancel()
        assert (await outcome(handle)).status == "cancelled"
        await lab.machines_gone(run_id)


async def test_cancelling_before_anything_runs_ends_it(lab: Lab) -> None:
    async with lab.running():
        _, handle = await lab.start(suite_plan(memory=130))
        await handle.signal("cancel")
        assert (await outcome(handle)).status == "cancelled"


async def test_a_failed_run_holds_its_machines_and_says_until_when(lab: Lab) -> None:
    lab.guests.wrong = {"nginx"}
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan(hold=600))
        state = lab.log.run(run_id)
        assert (ended.status, state.status) == ("failed", "failed")
        assert state.held_until is not None
        assert (state.held_until - state.updated_at).total_seconds() == 600
        for slot in ("primary", "client"):
            vm_id = uuid.uuid5(uuid.UUID(run_id), slot)
            machine = lab.client.get_workflow_handle(f"vm-{vm_id}")
            await machine.signal("delete_vm", {"command_id": "x"})
        assert await lab.machines_gone(run_id) == ["extended", "extended"]


async def test_a_run_that_passes_holds_nothing(lab: Lab) -> None:
    async with lab.running():
        run_id, _ = await lab.finished(suite_plan(hold=600))
        assert await lab.machines_gone(run_id) == [None, None]
    assert lab.log.run(run_id).held_until is None


async def test_only_the_chosen_cases_run_again(lab: Lab) -> None:
    plan = suite_plan(selection=Selection(cases=("web",)), rerun_of="r0")
    async with lab.running():
        run_id, ended = await lab.finished(plan)
    assert ended.status == "passed"
    assert list(lab.statuses(run_id)) == ["setup", "web", "teardown"]


async def test_a_running_machine_is_verified_and_left_alone(lab: Lab) -> None:
    machine = RunMachine(slot="primary", vm_id=str(uuid.uuid4()), queue=HOST_QUEUE, token=3)
    plan = plan_verification("lab", RunTarget(kind="vm", id=machine.vm_id or ""), machine)
    async with lab.running():
        run_id, ended = await lab.finished(plan)
    assert ended.status == "passed"
    assert lab.statuses(run_id) == {"boot": "passed", "network": "skipped", "no-failed-units": "passed"}
    assert {check.vm.token for check in lab.guests.checks} == {3}


async def test_a_report_that_cannot_be_written_does_not_change_the_verdict(lab: Lab) -> None:
    lab.guests.failures["write_report"] = [Fault.because("objects.unavailable", "the object store is away")] * 9
    async with lab.running():
        run_id, ended = await lab.finished(suite_plan())
    assert ended.status == "passed"
    assert "report.html" not in {file.name for file in lab.log.run(run_id).files}


async def test_the_temporal_page_begins_with_what_failed(lab: Lab) -> None:
    lab.guests.wrong = {"service_running"}
    async with lab.running():
        _, handle = await lab.start(suite_plan())
        await outcome(handle)
        details = await handle.query("__temporal_workflow_metadata")
        told = str(details)
    assert "Failed" in told
    assert told.index("expected so, found not so") < told.index("| slot | machine |")


async def test_a_definition_is_recorded_and_an_older_one_refused(lab: Lab) -> None:
    suite_id = str(uuid.uuid4())
    document = parse_suite(SUITE).document
    create = CreateSuite(request=SuiteRequest(suite_id=suite_id, org_id="o", requested_by="me", document=document))
    async with lab.running():
        done = await lab.client.execute_workflow(
            DefineWorkflow.run, DefineInput(suite_id=suite_id, command=create), id=suite_id, task_queue="core"
        )
        assert done.version == 1
        change = ChangeSuite(command_id="c", requested_by="me", expected_version=4, document=document)
        with pytest.raises(WorkflowFailureError) as caught:
            await lab.client.execute_workflow(
                DefineWorkflow.run,
                DefineInput(suite_id=suite_id, command=change),
                id=f"{suite_id}-c",
                task_queue="core",
            )
    assert read_failure(caught.value.cause).problems[0].code == "suite.version_conflict"  # type: ignore[arg-type]
