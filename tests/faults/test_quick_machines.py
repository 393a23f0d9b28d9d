"""The quick builder's machines: the real adapters on processes keep what they keep on libvirt."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import libvirt
import libvirt_qemu  # pyright: ignore[reportMissingTypeStubs] - it has none
import pytest

from activities.imaging.store import LocalBlobStore
from activities.job import Job
from activities.machines import vm_models as m
from activities.machines.job_entry import JobEntry
from activities.machines.libvirt_machines import LibvirtMachines
from activities.machines.models import BootInput, ReleaseInput
from activities.machines.vm_machines import LibvirtVms
from activities.machines.workspace import Size
from activities.step_log import StepLog
from activities.vm_ref import VmRef
from domain.artifacts import Artifact
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


async def _power(vms: LibvirtVms, *, unless: str) -> str:
    """Look until the machine is not `unless` any more, five seconds at most; answers what was seen last."""
    deadline = asyncio.get_running_loop().time() + 5
    power: str = unless
    while power == unless and asyncio.get_running_loop().time() < deadline:
        power = (await vms.inspect(m.InspectVm(vm=VM))).power
        await asyncio.sleep(0.02)
    return power


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
    assert await _power(following, unless="running") == "lost"  # a killed process takes a moment to be gone
    await following.delete(m.DeleteVm(vm=VM))
    assert leftovers(home) == []
    await following.close()


async def test_a_boot_that_is_given_up_late_does_not_end_the_machines_of_the_next_attempt(
    home: Path, image: tuple[FakeObjectStore, VmSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stood still past its heartbeat has two attempts at one step: the old one learns of it last."""
    objects, spec = image
    store = LocalBlobStore(home)
    blob = await store.add(objects.objects[f"blobs/{spec.image.digest}"])
    artifact = Artifact(kind="qcow2", name="x.qcow2", blob=blob)
    settings = load({"OPENFACTORY_HOME": str(home), "OPENFACTORY_ACCELERATOR": "tcg"})
    machines = LibvirtMachines(settings, objects, size=Size(memory=64, cpus=1))
    request = BootInput(job=Job(job_id="job", org_id="local"), recipe={"name": "x"}, artifacts=(artifact,))
    answers = JobEntry.answers

    standing = asyncio.Event()

    async def stands_still(_entry: JobEntry, _name: str) -> bool:
        standing.set()
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(JobEntry, "answers", stands_still)
    old = asyncio.create_task(machines.boot(request, Quiet()))
    await asyncio.wait_for(standing.wait(), 60)
    before = min(guests(home))
    new = asyncio.create_task(machines.boot(request, Quiet()))

    def new_is_at_it() -> bool:
        turn = getattr(machines, "_turns", {}).get("job")
        return bool(turn and turn._waiters) or min(guests(home), default=before) != before

    await _until(new_is_at_it)
    monkeypatch.setattr(JobEntry, "answers", answers)
    old.cancel()
    booted = await new
    assert [report.booted for report in booted.reports] == [True]
    assert (await machines.guest("job", "qcow2").run(("true",), timeout=20)).status == 0
    assert await machines.release(ReleaseInput(job=request.job, reason="finished")) == 1
    assert leftovers(home) == []
    await machines.close()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


class Quiet(StepLog):
    """A log that nobody reads."""

    def line(self, text: str) -> None:
        pass

    def progress(self, percent: float, text: str) -> None:
        pass
