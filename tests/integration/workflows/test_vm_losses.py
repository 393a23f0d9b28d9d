"""What is lost: hosts, their workers, QEMU, the fleet's own run. Clocks run as they do, limits are short."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.machines.vm_models import VmObserved, VmSeen
from domain.errors import Verdict
from domain.vm import orders as o
from domain.vm.state import VmState
from tests.fakes.vm_host import FakeVmHost
from tests.integration.workflows.vms import Yard, is_free, remove
from workflows import policies
from workflows.fleet import FleetWorkflow
from workflows.fleet_models import GiveBack
from workflows.vm import VmWorkflow

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Lose a host after two seconds of silence."""
    monkeypatch.setattr(policies, "HOST_SILENCE", timedelta(seconds=2))
    monkeypatch.setattr(policies, "HEARTBEAT", timedelta(seconds=2))
    monkeypatch.setattr(policies, "LOST_PICKUP", timedelta(seconds=1))
    monkeypatch.setattr(policies, "REMOVE_AGAIN", timedelta(seconds=1))


@pytest_asyncio.fixture(loop_scope="session")
async def yard(environment: WorkflowEnvironment) -> Yard:
    """A core without history."""
    address = environment.client.service_client.config.target_host
    return Yard(await Client.connect(address, data_converter=pydantic_data_converter))


async def observe(yard: Yard, state: VmState, seen: VmSeen, *, boot: int | None = None) -> None:
    observed = VmObserved(token=state.token, seen=seen, boot=state.boot if boot is None else boot)
    await yard.handle(state.vm_id).signal(VmWorkflow.observed, observed)


async def lost(yard: Yard, vm_id: str) -> VmState:
    return await yard.recording.until(vm_id, lambda vm: vm.status == "lost")


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.05)


async def holds_again(host: FakeVmHost) -> bool:
    return len(host.holds) == 2


async def is_gone(host: FakeVmHost, vm_id: str) -> bool:
    return vm_id not in host.domains


async def test_a_lost_host_is_said_and_its_machine_can_be_deleted_without_it(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await yard.kill("one")
        state = await lost(yard, vm_id)
        assert "one" in str(state.reason)
        await yard.shows(lambda fleet: not fleet.hosts[0].up)
        waiting = await yard.create()
        told = await yard.recording.until(waiting, lambda vm: vm.waiting is not None)
        assert "no host is up" in str(told.waiting)
        await remove(yard, waiting)
        await remove(yard, vm_id)
        assert "one was lost; it removes what is left when it comes back" in str(yard.recording.state(vm_id).note)


async def test_a_host_that_comes_back_removes_what_was_given_up_and_keeps_what_was_not(yard: Yard) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(yard.running("one"))
        kept, gone = await yard.ready(), await yard.ready()
        host = await yard.kill("one")
        await lost(yard, kept)
        await lost(yard, gone)
        await remove(yard, gone)
        assert set(host.domains) == {kept, gone}
        await yard.revive(stack, "one")
        await until(lambda: is_gone(host, gone))
        await yard.vms.command(kept, o.StartVm(command_id="again"))
        state = await yard.recording.until(kept, lambda vm: vm.ready)
        assert (state.boot, set(host.domains)) == (2, {kept})
        await remove(yard, kept)


async def test_a_host_lost_in_create_leaves_the_machine_lost_and_it_can_go_elsewhere(yard: Yard) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(yard.running("one"))
        yard.hosts["one"].hold.add("create_vm")
        vm_id = await yard.create()
        await asyncio.wait_for(yard.hosts["one"].held.wait(), 20)
        await yard.kill("one")
        await lost(yard, vm_id)
        other = await yard.add_host(stack, "two")
        await yard.vms.command(vm_id, o.StartVm(command_id="again"))
        state = await yard.recording.until(vm_id, lambda vm: vm.ready)
        assert (state.host, list(other.domains)) == ("two", [vm_id])
        await remove(yard, vm_id)


async def test_a_host_lost_in_start_leaves_the_machine_bound_to_its_disk_there(yard: Yard) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(yard.running("one"))
        yard.hosts["one"].hold.add("start_vm")
        vm_id = await yard.create()
        await asyncio.wait_for(yard.hosts["one"].held.wait(), 20)
        await yard.kill("one")
        await lost(yard, vm_id)
        await yard.add_host(stack, "two")
        await yard.vms.command(vm_id, o.StartVm(command_id="again"))
        state = await yard.recording.until(vm_id, lambda vm: bool(vm.orders) and not vm.open_orders)
        assert (state.status, state.orders[0].problems[0].code, state.host) == ("lost", "host.lost", "one")
        await yard.revive(stack, "one")
        await yard.vms.command(vm_id, o.StartVm(command_id="and again"))
        await yard.recording.until(vm_id, lambda vm: vm.ready)
        await remove(yard, vm_id)


async def test_a_host_lost_during_a_snapshot_ends_the_command_too(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        host = yard.hosts["one"]
        host.hold.add("take_snapshot")
        await yard.vms.command(vm_id, o.TakeSnapshot(command_id="s", snapshot_id="snap"))
        await asyncio.wait_for(host.held.wait(), 20)
        await yard.kill("one")
        state = await lost(yard, vm_id)
        assert (state.open_orders, state.orders[-1].status) == ((), "failed")
        await remove(yard, vm_id)


async def test_a_host_lost_during_a_removal_does_not_hold_it_up(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        host = yard.hosts["one"]
        host.hold.add("delete_vm")
        await yard.vms.command(vm_id, o.DeleteVm(command_id="d"))
        await asyncio.wait_for(host.held.wait(), 20)
        await yard.kill("one")
        ended = await yard.ended(vm_id)
        assert (ended.removed, "one" in str(ended.note)) == (0, True)
        assert yard.recording.state(vm_id).note == ended.note


async def test_a_removal_that_fails_is_tried_until_it_is_done(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        yard.hosts["one"].failures["delete_vm"] = [Verdict.because("disk.busy", "in use")] * 2
        await remove(yard, vm_id)
        assert (yard.hosts["one"].calls["delete_vm"], yard.hosts["one"].domains) == (3, {})


async def test_a_vanished_qemu_is_said_and_the_machine_can_be_started_again(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        host = yard.hosts["one"]
        host.domains[vm_id].runs = False
        await observe(yard, yard.recording.state(vm_id), VmSeen(power="lost", reason="QEMU was killed (signal 9)"))
        state = await lost(yard, vm_id)
        assert (state.reason, state.ready) == ("QEMU was killed (signal 9)", False)
        await yard.shows(is_free)
        await yard.vms.command(vm_id, o.StartVm(command_id="again"))
        await yard.recording.until(vm_id, lambda vm: vm.ready and vm.boot == 2)
        await remove(yard, vm_id)


async def test_a_guest_that_powers_itself_off_is_stopped_and_one_that_panics_says_so(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await observe(yard, yard.recording.state(vm_id), VmSeen(power="stopped"))
        state = await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        assert (state.reason, state.problems) == ("the guest powered itself off", ())
        await yard.vms.command(vm_id, o.StartVm(command_id="again"))
        state = await yard.recording.until(vm_id, lambda vm: vm.ready)
        await observe(yard, state, VmSeen(power="panicked"))
        state = await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        assert state.problems[0].code == "vm.panicked"
        await remove(yard, vm_id)


async def test_what_was_seen_of_an_earlier_start_is_not_believed(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await yard.vms.command(vm_id, o.RestartVm(command_id="r"))
        state = await yard.recording.until(vm_id, lambda vm: vm.ready and vm.boot == 2)
        await observe(yard, state, VmSeen(power="stopped"), boot=1)
        assert (await yard.vms.run_command(vm_id, o.RunCommand(command_id="c", argv=("true",)))).status == 0
        assert yard.recording.state(vm_id).status == "running"
        await remove(yard, vm_id)


async def test_a_paused_machine_runs_but_is_not_ready_until_it_goes_on(yard: Yard) -> None:
    async with yard.running("one"):
        vm_id = await yard.ready()
        await observe(yard, yard.recording.state(vm_id), VmSeen(power="paused", reason="no space left"))
        state = await yard.recording.until(vm_id, lambda vm: not vm.ready)
        assert (state.status, state.problems[0].code) == ("running", "vm.paused")
        await observe(yard, state, VmSeen(power="running"))
        await yard.recording.until(vm_id, lambda vm: vm.ready)
        await remove(yard, vm_id)


async def test_a_hosts_worker_that_is_restarted_goes_on_with_its_lease(yard: Yard) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(yard.running())
        host = FakeVmHost(yard.client, "one")
        yard.hosts["one"] = host
        async with yard.worker(host):
            await yard.fleet.signal(FleetWorkflow.host_up, host.capacity())
            vm_id = await yard.ready()
        stack.push_async_callback(host.stop_beating)
        async with yard.worker(host):
            await yard.vms.command(vm_id, o.RestartVm(command_id="r"))
            await yard.recording.until(vm_id, lambda vm: vm.ready and vm.boot == 2)
            assert len(host.holds) == 1
            await remove(yard, vm_id)


async def test_a_host_that_is_full_of_work_keeps_its_lease(yard: Yard) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(yard.running())
        host = FakeVmHost(yard.client, "one", at_once=1, hold={"await_agent"})
        yard.hosts["one"] = host
        async with yard.worker(host):
            stack.push_async_callback(host.stop_beating)
            await yard.fleet.signal(FleetWorkflow.host_up, host.capacity())
            vm_id = await yard.create()
            await asyncio.wait_for(host.held.wait(), 20)
            # As a fleet does that is continued as new: the lease that was held before is no more.
            await yard.fleet.signal(FleetWorkflow.host_up, host.capacity())
            await until(lambda: holds_again(host))
            host.hold.clear()
            await yard.recording.until(vm_id, lambda vm: vm.ready)
            await remove(yard, vm_id)


async def test_the_core_worker_may_be_restarted_at_any_time(yard: Yard) -> None:
    async with yard.running("one"):
        host = yard.hosts["one"]
        host.hold.add("create_vm")
        vm_id = await yard.create()
        await asyncio.wait_for(host.held.wait(), 20)
        await yard.restart_core()
        host.hold.clear()
        await yard.recording.until(vm_id, lambda vm: vm.ready)
        await yard.restart_core()
        await yard.vms.command(vm_id, o.StopVm(command_id="s"))
        await yard.recording.until(vm_id, lambda vm: vm.status == "stopped")
        assert [host.calls[name] for name in ("create_vm", "start_vm")] == [1, 1]
        await remove(yard, vm_id)


async def test_fleet_and_machine_continue_as_new_and_forget_nothing(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "LONGEST_HISTORY", 30)
    async with yard.running("one"):
        vm_id = await yard.ready()
        runs = {(await yard.handle(vm_id).describe()).run_id, (await yard.fleet.describe()).run_id}
        first = o.RunCommand(command_id="first", argv=("date",))
        await yard.vms.run_command(vm_id, first)
        for n in range(8):
            await yard.vms.command(vm_id, o.TakeSnapshot(command_id=f"s{n}", snapshot_id=f"snap-{n}"))
            await yard.recording.until(vm_id, lambda vm, n=n: len(vm.snapshots) == n + 1)
            await yard.fleet.signal(FleetWorkflow.park, GiveBack(vm_id="nobody"))
        assert (await yard.vms.run_command(vm_id, first)).stdout == "date"
        assert yard.hosts["one"].calls["run_command"] == 1
        assert (await yard.handle(vm_id).describe()).run_id not in runs
        assert (await yard.fleet.describe()).run_id not in runs
        token = yard.recording.state(vm_id).token
        other = await yard.ready()
        assert yard.recording.state(other).token > token
        await yard.shows(lambda fleet: [host.up for host in fleet.hosts] == [True])
        assert set(yard.hosts["one"].domains) == {vm_id, other}
        await remove(yard, vm_id)
        await remove(yard, other)


async def test_a_fleet_that_was_ended_and_begun_anew_gives_higher_tokens(yard: Yard) -> None:
    async with yard.running("one"):
        first = await yard.ready()
    async with yard.running("two"):
        second = await yard.ready()
        assert yard.recording.state(second).token > yard.recording.state(first).token
        await remove(yard, second)
