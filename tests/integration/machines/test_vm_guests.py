"""VMs whose guests boot, each in its own way. Real guests, so most tests wait for a boot."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable

import pytest

from activities.machines import vm_models as m
from activities.machines.vm_folder import vm_name
from activities.vm_ref import VmRef
from domain.errors import FactoryError, Verdict
from tests.guests import WELCOME, Behaviour, upload
from tests.integration.machines.conftest import House
from tests.integration.machines.vm_yard import Yard, yard_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]  # emulation on a busy host is slow


@pytest.fixture
async def yard(house: House) -> AsyncIterator[Yard]:
    async with yard_of(house) as made:
        yield made


async def boot(yard: Yard, behaviour: Behaviour, *, memory: int = 192) -> VmRef:
    image = await upload(yard.house.objects, behaviour)
    spec = yard.spec.model_copy(update={"image": image, "memory": memory})
    vm = await yard.create(spec)
    await yard.vms.start(m.StartVm(vm=vm))
    return vm


async def until(true: Callable[[], bool], seconds: float = 240.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.1)


async def test_a_serial_console_shows_what_the_guest_says_and_types_into_it(yard: Yard) -> None:
    vm = await boot(yard, "well")
    heard = bytearray()
    tap = yard.vms.attach(vm.vm_id, heard.extend)
    assert tap is not None
    await yard.vms.await_agent(m.AwaitAgent(vm=vm))
    assert WELCOME.encode() in tap.replay + heard

    run = m.RunCommand(vm=vm, argv=("sh", "-c", "head -n 1 < /dev/ttyS0 > /tmp/typed"), limit=60)
    reading = asyncio.create_task(yard.vms.run_command(run))
    for _ in range(20):
        await tap.write(b"typed by hand\n")
        await asyncio.wait((reading,), timeout=1)
        if reading.done():
            break
    await reading
    typed = await yard.vms.run_command(m.RunCommand(vm=vm, argv=("cat", "/tmp/typed")))
    assert "typed by hand" in typed.stdout
    await yard.vms.stop(m.StopVm(vm=vm, grace=60))
    await until(lambda: heard.endswith(b"Power down\n") or yard.vms.attach(vm.vm_id, heard.extend) is None)


async def test_a_panic_is_told_and_photographed_and_the_vm_can_be_started_again(yard: Yard) -> None:
    vm = await boot(yard, "panic")
    watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
    with pytest.raises(Verdict, match="panicked"):
        await yard.vms.await_agent(m.AwaitAgent(vm=vm))
    assert (await yard.told(vm, 240)).seen.power == "panicked"
    shot = await yard.vms.screenshot(m.TakeScreenshot(vm=vm))
    assert "panic" in shot.text
    with pytest.raises(Verdict, match=r"vm\.wrong_state"):
        await yard.vms.run_command(m.RunCommand(vm=vm, argv=("true",)))
    assert (await yard.vms.start(m.StartVm(vm=vm))).boot == 2
    assert (await yard.power(vm)).power == "running"
    watch.cancel()


async def test_a_guest_that_switches_itself_off_is_stopped_not_lost(yard: Yard) -> None:
    vm = await boot(yard, "powerless")
    watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
    with pytest.raises(Verdict, match=r"guest\.off"):
        await yard.vms.await_agent(m.AwaitAgent(vm=vm))
    seen = (await yard.told(vm)).seen
    assert (seen.power, seen.reason) == ("stopped", "The guest switched itself off.")
    assert (await yard.vms.stop(m.StopVm(vm=vm, grace=10))).how == "already"
    watch.cancel()


@pytest.mark.faults
async def test_a_guest_without_an_agent_is_not_ready_at_its_deadline_and_runs_on(house: House) -> None:
    async with yard_of(house, seconds=60) as yard:
        vm = await boot(yard, "silent")
        with pytest.raises(FactoryError, match=r"guest\.not_ready|host\.overloaded"):
            await yard.vms.await_agent(m.AwaitAgent(vm=vm))
        assert (await yard.power(vm)).power == "running"
        with pytest.raises(Verdict, match=r"guest\.unreachable"):
            await yard.vms.run_command(m.RunCommand(vm=vm, argv=("true",)))
        assert (await yard.vms.stop(m.StopVm(vm=vm, grace=2))).how == "forced"


@pytest.mark.faults
async def test_a_flooded_serial_port_fills_no_disk_and_stops_nobody(yard: Yard) -> None:
    vm = await boot(yard, "flood")
    folder = yard.house.daemon.paths.machines / vm_name(vm.vm_id)
    await until((folder / "serial.tail.1").exists)
    assert sum(path.stat().st_size for path in folder.glob("serial.*")) < 5 << 20
    taken = await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s"))
    assert taken.memory
    assert (await yard.power(vm)).power == "running"


@pytest.mark.faults
async def test_a_host_whose_disk_fills_up_halts_the_guest_says_so_and_lets_it_go_on(small_house: House) -> None:
    async with yard_of(small_house) as yard:
        vm = await boot(yard, "well")
        watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
        await yard.vms.await_agent(m.AwaitAgent(vm=vm))
        ballast = small_house.settings.home / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(ballast.parent).free - (1 << 20)))
        fill = ("sh", "-c", "dd if=/dev/urandom of=/dev/vda bs=1M seek=32 count=16; sync")
        filling = asyncio.create_task(yard.vms.run_command(m.RunCommand(vm=vm, argv=fill, limit=200)))
        seen = (await yard.told(vm, 120)).seen
        assert seen.power == "paused"
        assert "disk is full" in (seen.reason or "")
        filling.cancel()
        await asyncio.wait((filling,))
        ballast.unlink()
        assert (await yard.vms.start(m.StartVm(vm=vm))).boot == 1
        assert (await yard.vms.await_agent(m.AwaitAgent(vm=vm))).via == "agent"
        watch.cancel()
