"""The quick builder's machines: the real adapters on processes keep what they keep on libvirt."""

import os
import signal
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import libvirt
import libvirt_qemu  # pyright: ignore[reportMissingTypeStubs] - it has none
import pytest

from activities.machines import vm_models as m
from activities.machines.vm_machines import LibvirtVms
from activities.vm_ref import VmRef
from domain.vm.spec import VmSpec
from infra.process import run
from infra.settings import load
from tests.fakes.objects import FakeObjectStore
from tests.faults.factory import guests
from tests.faults.quick import processes
from tests.faults.quick.imaging import QuickNetworks
from tests.guests import image_ref
from tests.invariants import leftovers

pytestmark = pytest.mark.integration
VM = VmRef(vm_id="0123456789abcdef", org_id="local", token=1)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    folder = tmp_path_factory.mktemp("q")
    monkeypatch.setattr(libvirt, "open", libvirt.open)
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", libvirt_qemu.qemuAgentCommand)
    monkeypatch.setattr(libvirt_qemu, "qemuMonitorCommand", libvirt_qemu.qemuMonitorCommand)
    processes.install(folder)
    yield folder
    for pid in guests(folder):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
async def image(home: Path) -> tuple[FakeObjectStore, VmSpec]:
    disk = home / "image.qcow2"
    await run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], timeout=20)
    objects = FakeObjectStore()
    reference = image_ref(disk)
    await objects.put_file(f"blobs/{reference.digest}", disk)
    disk.unlink()
    return objects, VmSpec(name="quick", image=reference, memory=128, cpus=1, firmware="bios", egress=False)


@pytest.fixture
async def vms(home: Path, image: tuple[FakeObjectStore, VmSpec]) -> AsyncGenerator[LibvirtVms]:
    made = _vms(home, image[0])
    yield made
    await made.close()


def _vms(home: Path, objects: FakeObjectStore) -> LibvirtVms:
    settings = load({"OPENFACTORY_HOME": str(home), "OPENFACTORY_ACCELERATOR": "tcg"})
    made = LibvirtVms(settings, objects, networks=QuickNetworks(None))
    made.hold_until(float("inf"))
    return made


async def test_a_machine_lives_remembers_and_goes_without_a_trace(
    home: Path, vms: LibvirtVms, image: tuple[FakeObjectStore, VmSpec]
) -> None:
    await vms.create(m.CreateVm(vm=VM, spec=image[1]))
    await vms.start(m.StartVm(vm=VM))
    ready = await vms.await_agent(m.AwaitAgent(vm=VM))
    assert (ready.via, ready.addresses) == ("agent", ("10.0.2.15",))
    await vms.run_command(m.RunCommand(vm=VM, argv=("tee", "/mnt/note"), stdin="kept"))
    assert (await vms.take_snapshot(m.TakeSnapshot(vm=VM, snapshot_id="s"))).memory
    assert (await vms.run_command(m.RunCommand(vm=VM, argv=("rm", "/mnt/note")))).status == 0
    assert (await vms.restore_snapshot(m.RestoreSnapshot(vm=VM, snapshot_id="s"))).running
    assert (await vms.run_command(m.RunCommand(vm=VM, argv=("cat", "/mnt/note")))).stdout == "kept"
    assert (await vms.run_command(m.RunCommand(vm=VM, argv=("no-such-program",)))).status == 127
    assert (await vms.stop(m.StopVm(vm=VM, grace=10))).how == "graceful"
    assert (await vms.inspect(m.InspectVm(vm=VM))).power == "stopped"
    await vms.delete(m.DeleteVm(vm=VM))
    assert leftovers(home) == []


async def test_a_machine_outlives_its_worker_and_a_killed_one_is_lost(
    home: Path, vms: LibvirtVms, image: tuple[FakeObjectStore, VmSpec]
) -> None:
    await vms.create(m.CreateVm(vm=VM, spec=image[1]))
    await vms.start(m.StartVm(vm=VM))
    await vms.close()
    following = _vms(home, image[0])
    assert await following.adopt() == 1
    assert (await following.run_command(m.RunCommand(vm=VM, argv=("true",)))).status == 0
    for pid in guests(home):
        os.kill(pid, signal.SIGKILL)
    assert (await following.inspect(m.InspectVm(vm=VM))).power == "lost"
    await following.delete(m.DeleteVm(vm=VM))
    assert leftovers(home) == []
    await following.close()
