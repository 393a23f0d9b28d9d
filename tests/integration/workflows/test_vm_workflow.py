"""A machine's life on a real Temporal server that skips time, with a fleet and hosts of fakes."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from activities.record_models import RECORD_VM
from domain.errors import Fault, Verdict
from domain.vm import orders as o
from domain.vm.commands import VmCommand
from domain.vm.inputs import workflow_id
from tests.integration.workflows.vms import Yard, is_free, remove
from workflows import vm_clock, vm_self
from workflows.recording import record_vm

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def yard(environment: WorkflowEnvironment) -> Yard:
    """A core without history, whose clocks jump ahead when nothing else happens."""
    return Yard(environment.client)


async def test_a_machine_is_placed_created_started_and_answers(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        state = yard.recording.state(vm_id)
        assert (state.status, state.host, state.boot, state.via) == ("running", "one", 1, "agent")
        assert yard.recording.names(vm_id) == ["requested", "placed", "created", "started", "ready"]
        await yard.vms.command(vm_id, o.DeleteVm(command_id="d"))
        assert (await yard.ended(vm_id)).removed == 3
        assert yard.hosts["one"].domains == {}
        assert yard.recording.state(vm_id).status == "deleted"
        await yard.shows(lambda fleet: fleet.hosts[0].machines == 0)


async def test_commands_are_done_one_after_the_other_and_a_repeat_only_once(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        stop, start = o.StopVm(command_id="s1"), o.StartVm(command_id="s2")
        versions = await asyncio.gather(*(yard.vms.command(vm_id, stop) for _ in range(3)))
        versions += await asyncio.gather(*(yard.vms.command(vm_id, start) for _ in range(3)))
        state = await yard.recording.until(vm_id, lambda vm: not vm.open_orders and vm.ready)
        assert len(set(versions)) == 2
        assert (state.status, state.boot) == ("running", 2)
        assert yard.hosts["one"].calls["stop_vm"] == 1
        await remove(yard, vm_id)


async def test_a_stopped_machine_keeps_its_disk_and_gives_back_its_memory(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready(memory=3000)
        await yard.vms.command(vm_id, o.StopVm(command_id="s"))
        await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        other = await yard.ready(memory=3000)
        await yard.vms.command(vm_id, o.StartVm(command_id="t"))
        waiting = await yard.recording.until(vm_id, lambda vm: vm.waiting is not None)
        assert (waiting.status, "3000 MiB" in str(waiting.waiting)) == ("starting", True)
        await remove(yard, other)
        state = await yard.recording.until(vm_id, lambda vm: vm.ready)
        assert (state.boot, state.token) == (2, max(state.token, 1))
        await remove(yard, vm_id)


async def test_a_command_is_written_down_by_the_engine_before_the_log_is_told(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await yard.vms.command(vm_id, o.StopVm(command_id="s"))
        history = await yard.client.get_workflow_handle(workflow_id(vm_id)).fetch_history()
        update = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
        taken = [e.event_id for e in history.events if e.event_type == update]
        scheduled = ((e.event_id, e.activity_task_scheduled_event_attributes) for e in history.events)
        told = [event_id for event_id, attributes in scheduled if attributes.activity_type.name == RECORD_VM]
        assert len(told) == 1
        assert taken[-1] < told[0]
        await remove(yard, vm_id)


async def test_a_snapshot_with_memory_brings_a_stopped_machine_back_to_life(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await yard.vms.command(vm_id, o.TakeSnapshot(command_id="s", snapshot_id="snap", name="before"))
        await yard.recording.until(vm_id, lambda vm: bool(vm.snapshots))
        await yard.vms.command(vm_id, o.StopVm(command_id="t", grace=0))
        await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        await yard.vms.command(vm_id, o.RestoreSnapshot(command_id="r", snapshot_id="snap"))
        state = await yard.recording.until(vm_id, lambda vm: vm.ready)
        assert state.snapshots[0].memory
        await yard.vms.command(vm_id, o.DropSnapshot(command_id="u", snapshot_id="snap"))
        await yard.recording.until(vm_id, lambda vm: not vm.snapshots)
        with pytest.raises(Verdict, match=r"snapshot\.not_found"):
            await yard.vms.command(vm_id, o.RestoreSnapshot(command_id="v", snapshot_id="snap"))
        await remove(yard, vm_id)


async def test_one_snapshot_more_than_the_plan_allows_is_refused_before_anything_is_done(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready(plan="guest")
        for n in range(2):
            await yard.vms.command(vm_id, o.TakeSnapshot(command_id=f"c{n}", snapshot_id=f"s{n}"))
        with pytest.raises(Verdict, match=r"snapshot\.quota"):
            await yard.vms.command(vm_id, o.TakeSnapshot(command_id="c2", snapshot_id="s2"))
        await yard.vms.command(vm_id, o.DropSnapshot(command_id="d", snapshot_id="s0"))
        await yard.recording.until(vm_id, lambda vm: len(vm.snapshots) == 1 and not vm.open_orders)
        await yard.vms.command(vm_id, o.TakeSnapshot(command_id="c3", snapshot_id="s3"))
        await yard.recording.until(vm_id, lambda vm: len(vm.snapshots) == 2)
        assert yard.hosts["one"].calls["take_snapshot"] == 3
        await remove(yard, vm_id)


async def test_what_is_asked_of_the_guest_is_answered_and_a_repeat_runs_nothing(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        order = o.RunCommand(command_id="c", argv=("uname", "-a"))
        first, second = await yard.vms.run_command(vm_id, order), await yard.vms.run_command(vm_id, order)
        assert first.stdout == "uname -a"
        assert (first, yard.hosts["one"].calls["run_command"]) == (second, 1)
        assert (await yard.vms.screenshot(vm_id, o.TakeScreenshot(command_id="p"))).width == 640
        forward = await yard.vms.open_forward(vm_id, o.OpenForward(command_id="f", guest_port=80))
        assert yard.recording.state(vm_id).forwards == (forward.forward,)
        await yard.vms.command(vm_id, o.StopVm(command_id="s"))
        await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        with pytest.raises(Verdict, match=r"vm\.wrong_state"):
            await yard.vms.run_command(vm_id, order.model_copy(update={"command_id": "d"}))
        await remove(yard, vm_id)


async def test_a_machine_that_cannot_be_created_is_failed_and_holds_nothing(yard: Yard) -> None:
    async with yard.running("one"):
        yard.hosts["one"].failures["create_vm"] = [Verdict.because("image.broken", "this is no qcow2")]
        vm_id = await yard.create()
        state = await yard.recording.until(vm_id, lambda vm: vm.status == "failed")
        assert (state.problems[0].code, state.host) == ("image.broken", None)
        await yard.shows(lambda fleet: fleet.hosts[0].machines == 0)
        await yard.vms.command(vm_id, o.StartVm(command_id="again"))
        await yard.recording.until(vm_id, lambda vm: vm.ready)
        await remove(yard, vm_id)


async def test_a_machine_that_does_not_start_keeps_its_disk_and_its_place_there(yard: Yard) -> None:
    async with yard.running("one"):
        yard.hosts["one"].failures["start_vm"] = [Verdict.because("host.kvm", "no")]
        vm_id = await yard.create()
        await yard.recording.until(vm_id, lambda vm: vm.status == "failed")
        await yard.shows(lambda fleet: fleet.hosts[0].machines == 1 and is_free(fleet))
        await remove(yard, vm_id)
        assert yard.hosts["one"].domains == {}


async def test_a_fault_is_tried_again_without_anybody_asking(yard: Yard) -> None:
    async with yard.running("one"):
        yard.hosts["one"].failures["start_vm"] = [Fault.because("libvirt.away", "restarting")] * 2
        vm_id = await yard.ready()
        assert yard.hosts["one"].calls["start_vm"] == 3
        await remove(yard, vm_id)


async def test_a_stop_that_fails_leaves_what_the_host_says(yard: Yard) -> None:
    async with yard.running("one"):
        host = yard.hosts["one"]
        vm_id = await yard.ready()
        host.failures["stop_vm"] = [Verdict.because("libvirt.no", "no")] * 2
        await yard.vms.command(vm_id, o.StopVm(command_id="s1"))
        state = await yard.recording.until(vm_id, lambda vm: bool(vm.orders) and not vm.open_orders)
        assert (state.status, state.ready, state.orders[0].status) == ("running", True, "failed")
        host.domains[vm_id].runs = False
        await yard.vms.command(vm_id, o.StopVm(command_id="s2"))
        state = await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        assert state.reason == "it was found off"
        await remove(yard, vm_id)


async def test_a_restore_that_fails_gives_back_the_memory_it_was_given(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await yard.vms.command(vm_id, o.TakeSnapshot(command_id="s", snapshot_id="snap"))
        await yard.vms.command(vm_id, o.StopVm(command_id="t"))
        await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        yard.hosts["one"].failures["restore_snapshot"] = [Verdict.because("snapshot.broken", "no")]
        await yard.vms.command(vm_id, o.RestoreSnapshot(command_id="r", snapshot_id="snap"))
        state = await yard.recording.until(vm_id, lambda vm: not vm.open_orders)
        assert (state.status, state.orders[-1].problems[0].code) == ("stopped", "snapshot.broken")
        await yard.vms.command(vm_id, o.DropSnapshot(command_id="u", snapshot_id="snap"))
        await yard.recording.until(vm_id, lambda vm: not vm.open_orders)
        await yard.shows(is_free)
        await remove(yard, vm_id)


async def test_a_machine_that_waits_for_room_until_its_end_is_deleted_then(yard: Yard) -> None:
    async with yard.running():
        vm_id = await yard.create(ttl=3600)
        await yard.ended(vm_id)
        assert yard.recording.names(vm_id)[-2:] == ["deleting", "deleted"]
        await yard.shows(lambda fleet: fleet.waiting == ())


@pytest.mark.parametrize("seconds", [None, 3600])
async def test_a_machine_whose_end_is_moved_during_an_order_lives_on(
    yard: Yard, seconds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shortened(seconds: float) -> timedelta:
        return timedelta(seconds=seconds / 20)

    monkeypatch.setattr(vm_clock, "timedelta", shortened)  # no time is skipped while a host is at work: a short life
    yard.runner = UnsandboxedWorkflowRunner()  # the sandbox would import a module of its own
    async with yard.running("one"):
        host = yard.hosts["one"]
        host.hold.add("start_vm")
        vm_id = await yard.create(ttl=100)
        await asyncio.wait_for(host.held.wait(), 30)
        await yard.vms.command(vm_id, o.ExtendVm(command_id="e", seconds=seconds))
        await asyncio.sleep(6)
        assert yard.recording.state(vm_id).status == "starting"
        await yard.vms.command(vm_id, o.ExtendVm(command_id="f", seconds=None))
        host.hold.clear()
        await yard.recording.until(vm_id, lambda vm: vm.boot == 1)
        await remove(yard, vm_id)


async def test_a_guest_that_never_answers_runs_all_the_same_and_says_why(yard: Yard) -> None:
    async with yard.running("one"):
        yard.hosts["one"].failures["await_agent"] = [Verdict.because("guest.silent", "no agent in 10 minutes")]
        vm_id = await yard.create()
        state = await yard.recording.until(vm_id, lambda vm: bool(vm.problems))
        assert (state.status, state.ready, state.problems[0].code) == ("running", False, "guest.silent")
        await remove(yard, vm_id)


async def test_what_a_guest_said_last_changes_nothing_of_the_temporal_page(yard: Yard) -> None:
    async with yard.running("one"):
        words = "its last words were: [all is well](https://x.example) **passed**"
        yard.hosts["one"].failures["await_agent"] = [Verdict.because("guest.not_ready", words)]
        vm_id = await yard.create()
        await yard.recording.until(vm_id, lambda vm: bool(vm.problems))
        page = str(await yard.handle(vm_id).query("__temporal_workflow_metadata"))
        assert "all is well" in page
        assert "\\[all is well" in page
        assert "**passed**" not in page
        await remove(yard, vm_id)


async def test_a_guest_that_is_still_waited_for_can_be_stopped(yard: Yard) -> None:
    async with yard.running("one"):
        yard.hosts["one"].hold.add("await_agent")
        vm_id = await yard.create()
        await asyncio.wait_for(yard.hosts["one"].held.wait(), 30)
        await yard.vms.command(vm_id, o.StopVm(command_id="s"))
        await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        await remove(yard, vm_id)


@pytest.mark.parametrize("step", ["create_vm", "start_vm", "take_snapshot", "stop_vm"])
async def test_deleting_interrupts_what_is_being_done(yard: Yard, step: str) -> None:
    async with yard.running("one"):
        host = yard.hosts["one"]
        if step in {"create_vm", "start_vm"}:
            host.hold.add(step)
            vm_id = await yard.create()
        else:
            vm_id = await yard.ready()
            host.hold.add(step)
            order = o.StopVm(command_id="x") if step == "stop_vm" else o.TakeSnapshot(command_id="x", snapshot_id="s")
            await yard.vms.command(vm_id, order)
        await asyncio.wait_for(host.held.wait(), 30)
        await remove(yard, vm_id)
        assert host.domains == {}
        await yard.shows(lambda fleet: fleet.hosts[0].machines == 0)


async def test_deleting_twice_at_once_is_one_deletion(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await asyncio.gather(*(yard.vms.command(vm_id, o.DeleteVm(command_id=f"d{n}")) for n in range(3)))
        await yard.ended(vm_id)
        assert yard.hosts["one"].calls["delete_vm"] == 1
        with pytest.raises(Verdict, match=r"vm\.deleted"):
            await yard.vms.command(vm_id, o.StartVm(command_id="s"))


async def test_temporals_own_cancellation_removes_the_machine_too(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await yard.handle(vm_id).cancel()
        await yard.ended(vm_id)
        assert yard.hosts["one"].domains == {}


async def test_a_machine_in_the_queue_can_be_deleted_and_leaves_its_place(yard: Yard) -> None:
    async with yard.running():
        vm_id = await yard.create()
        await yard.recording.until(vm_id, lambda vm: vm.waiting is not None)
        await yard.shows(lambda fleet: fleet.waiting == (vm_id,))
        await remove(yard, vm_id)
        await yard.shows(lambda fleet: fleet.waiting == ())


async def test_a_machine_in_the_queue_can_be_deleted_while_the_fleets_answer_is_recorded(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def recorded_despite_a_cancellation(vm_id: str, command: VmCommand) -> int:
        """A local activity that ends all the same when it is cancelled: the cancellation is lost with it."""
        version = await record_vm(vm_id, command)
        if command.kind == "waiting":
            try:
                await workflow.wait_condition(lambda: False)
            except asyncio.CancelledError:
                current = asyncio.current_task()
                assert current is not None
                current.uncancel()
        return version

    monkeypatch.setattr(vm_self, "record_vm", recorded_despite_a_cancellation)
    yard.runner = UnsandboxedWorkflowRunner()  # the sandbox would import a module of its own
    async with yard.running():
        vm_id = await yard.create()
        await yard.recording.until(vm_id, lambda vm: vm.waiting is not None)
        await remove(yard, vm_id)
        await yard.shows(lambda fleet: fleet.waiting == ())


async def test_a_machine_that_no_host_could_ever_hold_is_failed_with_the_reason(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.create(memory=100_000)
        state = await yard.recording.until(vm_id, lambda vm: vm.status == "failed")
        assert state.problems[0].code == "host.memory"
        await remove(yard, vm_id)


async def test_a_request_beyond_the_quota_is_refused_and_may_be_made_again_later(yard: Yard) -> None:
    yard.recording.most = 2
    async with yard.running("one"):
        made = await asyncio.gather(*(yard.create() for _ in range(8)), return_exceptions=True)
        there = [vm_id for vm_id in made if isinstance(vm_id, str)]
        refused = [error for error in made if isinstance(error, Verdict)]
        assert (len(there), len(refused), refused[0].code) == (2, 6, "vm.quota")
        gone = next(vm_id for vm_id, events in yard.recording.streams.items() if not events)
        await remove(yard, there[0])
        await yard.create(gone)
        for vm_id in (gone, there[1]):
            await remove(yard, vm_id)


async def test_the_end_is_announced_and_comes(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.create(ttl=4 * 3600)
        await yard.ended(vm_id)
        names = yard.recording.names(vm_id)
        assert names[-3:] == ["expiring", "deleting", "deleted"]
        events = yard.recording.streams[vm_id]
        assert 590 < (events[-2].at - events[-3].at).total_seconds() < 660


async def test_an_idle_machine_is_stopped(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.create(idle_stop=1800)
        state = await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        assert state.reason == "nobody used it for 30 minutes"
        await remove(yard, vm_id)
