"""Machines that do not come up, each for its own reason. Real guests, so each test waits for a boot."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from activities.machines.domain_xml import machine_name
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.models import ReleaseInput
from domain.errors import Fault, Verdict
from tests.guests import Behaviour
from tests.integration.machines.conftest import House, Lines

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]  # emulation on a busy host is slow


@pytest.fixture
async def machines(house: House) -> AsyncIterator[LibvirtMachines]:
    machines = house.machines()
    yield machines
    await machines.close()
    assert not house.daemon.descendants("qemu")
    assert not list(house.daemon.paths.machines.iterdir())


async def fail(house: House, machines: LibvirtMachines, job: str, behaviour: Behaviour) -> Verdict:
    order = await house.order(job, behaviour, "iso")
    log = Lines()
    with pytest.raises(Verdict, match=r"boot\.failed") as caught:
        await machines.boot(order, log)
    name = machine_name(job, "iso")
    kept = {key for key in house.objects.objects if key.startswith(f"evidence/{job}/0/{name}/")}
    assert any(key.endswith("serial.log") for key in kept)
    assert f"evidence/{job}/0/{name}/" in (caught.value.problems[0].next or "")
    assert await machines.release(ReleaseInput(job=order.job, reason="failed")) == 1
    return caught.value


async def test_a_kernel_panic_is_named_and_its_screen_kept(house: House, machines: LibvirtMachines) -> None:
    error = await fail(house, machines, "bad00000-panic", "panic")
    assert "the kernel panicked" in str(error)
    assert house.objects.objects[f"evidence/bad00000-panic/0/{machine_name('bad00000-panic', 'iso')}/screenshot.png"]


@pytest.mark.faults
async def test_an_emergency_prompt_is_recognised_without_an_end_of_line(
    house: House, machines: LibvirtMachines
) -> None:
    assert "emergency mode" in str(await fail(house, machines, "bad00000-emergency", "emergency"))


@pytest.mark.faults
async def test_a_guest_that_switches_itself_off_is_said_to_have_done_so(
    house: House, machines: LibvirtMachines
) -> None:
    error = await fail(house, machines, "bad00000-powerless", "powerless")
    assert "switched itself off; its last words" in str(error)


@pytest.mark.faults
async def test_a_silent_agent_is_a_boot_that_failed_at_its_deadline(house: House) -> None:
    machines = house.machines(seconds=100)
    error = await fail(house, machines, "bad00000-silent", "silent")
    assert "its guest agent did not answer within" in str(error)
    assert "Welcome to the test guest" in str(error)
    await machines.close()


@pytest.mark.faults
async def test_a_flooded_serial_port_fills_neither_disk_nor_log(house: House) -> None:
    machines = house.machines(seconds=60)
    order = await house.order("bad00000-flood", "flood", "iso")
    log = Lines()
    with pytest.raises(Verdict, match=r"boot\.failed"):
        await machines.boot(order, log)
    folder = house.daemon.paths.machines / machine_name("bad00000-flood", "iso")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5 << 20
    assert len(log.lines) < 6000
    await machines.release(ReleaseInput(job=order.job, reason="failed"))
    await machines.close()


@pytest.mark.faults
async def test_a_qemu_killed_during_the_boot_is_the_hosts_fault(house: House, machines: LibvirtMachines) -> None:
    order = await house.order("bad00000-killed", "silent", "iso")

    class Killing(Lines):
        def line(self, text: str) -> None:
            super().line(text)
            if "Welcome" in text:
                house.daemon.qemu(machine_name("bad00000-killed", "iso")).kill()

    with pytest.raises(Fault, match=r"machine\.lost"):
        await machines.boot(order, Killing())
    assert await machines.release(ReleaseInput(job=order.job, reason="failed")) == 1


async def test_an_artifact_that_is_no_disk_is_said_to_have_no_bootable_device(
    house: House, machines: LibvirtMachines
) -> None:
    order = await house.order("bad00000-empty", "well", "iso")
    empty = await house.empty_iso()
    order = order.model_copy(update={"artifacts": (empty,)})
    with pytest.raises(Verdict, match="no bootable device"):
        await machines.boot(order, Lines())
    await machines.release(ReleaseInput(job=order.job, reason="failed"))


async def test_a_blob_that_is_not_here_is_a_fault_and_leaves_nothing(house: House, machines: LibvirtMachines) -> None:
    order = await house.order("bad00000-gone", "well", "iso")
    [artifact] = order.artifacts
    gone = artifact.model_copy(update={"blob": artifact.blob.model_copy(update={"digest": "ab" * 32})})
    with pytest.raises(Fault, match=r"blob\.missing"):
        await machines.boot(order.model_copy(update={"artifacts": (gone,)}), Lines())
    await machines.release(ReleaseInput(job=order.job, reason="failed"))


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.3, 1.0])
async def test_a_boot_that_is_cancelled_leaves_nothing_wherever_it_was(
    house: House, machines: LibvirtMachines, seconds: float
) -> None:
    """The `machines` fixture looks for what is left."""
    boot = asyncio.create_task(machines.boot(await house.order("cance100-1", "well", "qcow2", "iso"), Lines()))
    await asyncio.wait((boot,), timeout=seconds)
    boot.cancel()
    with pytest.raises(asyncio.CancelledError):
        await boot
