"""What every host does for VMs, the real one and the fake."""

import uuid
from collections.abc import AsyncIterator

import pytest

from activities.machines import vm_models as m
from activities.machines.vm_ports import VmHost
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from domain.vm.spec import ImageRef, VmSpec
from tests.fakes.objects import FakeObjectStore
from tests.fakes.vms import FakeVms
from tests.guests import upload
from tests.integration.machines.conftest import House

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]  # emulation on a busy host is slow


class Case:
    """One VM of a host."""

    def __init__(self, host: VmHost, objects: FakeObjectStore, spec: VmSpec) -> None:
        self.host = host
        self.objects = objects
        self.spec = spec
        self.vm_id = str(uuid.uuid4())

    def vm(self, token: int = 5) -> VmRef:
        return VmRef(vm_id=self.vm_id, org_id="o", token=token)

    async def power(self) -> m.Power:
        return (await self.host.inspect(m.InspectVm(vm=self.vm()))).power

    async def run(self, *argv: str, stdin: str = "") -> m.CommandDone:
        return await self.host.run_command(m.RunCommand(vm=self.vm(), argv=argv, stdin=stdin, limit=60))


@pytest.fixture(params=["fake", "real"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "fake":
        objects = FakeObjectStore()
        image = ImageRef(digest="ab" * 32, bytes=1, format="qcow2", source="image", source_id="i")
        await objects.put(f"blobs/{image.digest}", b"i")
        yield Case(FakeVms(objects), objects, VmSpec(name="t", image=image, disk=100))
        return
    house: House = request.getfixturevalue("house")
    vms = house.vms()
    image = await upload(house.objects)
    (house.settings.home / "store" / image.digest[:2] / image.digest).unlink(missing_ok=True)  # of other tests here
    case = Case(vms, house.objects, VmSpec(name="t", image=image, memory=192, disk=100, firmware="bios"))
    yield case
    await vms.delete(m.DeleteVm(vm=case.vm(1000)))
    await vms.close()


async def test_a_vm_lives_is_looked_at_goes_back_in_time_and_goes(case: Case) -> None:
    """One test, because one boot: the parts of a VM's life in their order."""
    host, vm = case.host, case.vm()
    assert await case.power() == "absent"
    created = await host.create(m.CreateVm(vm=vm, spec=case.spec))
    assert (created.fetched, created.disk_bytes) == (True, 100 << 20)
    assert not (await host.create(m.CreateVm(vm=vm, spec=case.spec))).fetched
    assert await case.power() == "stopped"
    with pytest.raises(Verdict, match=r"vm\.wrong_state"):
        await case.run("echo")

    started = await host.start(m.StartVm(vm=vm))
    assert (started.boot, await case.power()) == (1, "running")
    assert (await host.start(m.StartVm(vm=vm))).boot == 1
    ready = await host.await_agent(m.AwaitAgent(vm=vm))
    # A guest that is slow to answer has been told of the network's IPv6 prefix, too, by then.
    assert (ready.via, ready.addresses[:1]) == ("agent", ("10.0.2.15",))

    assert (await case.run("echo", "hello")).stdout == "hello\n"
    assert (await case.run("false")).status == 1
    assert (await case.run("no-such-program")).status == 127
    cut = await case.run("head", "-c", "70000", "/dev/zero")
    assert (cut.truncated, len(cut.stdout)) == (True, 64 << 10)
    shot = await host.screenshot(m.TakeScreenshot(vm=vm))
    assert case.objects.objects[shot.key].startswith(b"\x89PNG")
    assert (shot.key.startswith(f"screens/{case.vm_id}/"), shot.width) == (True, 720)
    assert "Welcome to the test guest" in shot.text

    await case.run("tee", "/tmp/memory", stdin="before")
    taken = await host.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="one"))
    assert taken.memory
    assert taken.bytes > 0
    await case.run("tee", "/tmp/memory", stdin="after")
    assert await host.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="one")) == taken
    assert (await host.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="one"))).running
    await host.await_agent(m.AwaitAgent(vm=vm))
    assert (await case.run("cat", "/tmp/memory")).stdout == "before"

    assert (await host.stop(m.StopVm(vm=vm, grace=60))).how == "graceful"
    assert (await host.stop(m.StopVm(vm=vm, grace=60))).how == "already"
    off = await host.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="two"))
    assert (off.memory, off.bytes) == (False, 0)
    assert not (await host.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="two"))).running
    assert await case.power() == "stopped"
    for snapshot in ("one", "two", "two"):
        await host.drop_snapshot(m.DropSnapshot(vm=vm, snapshot_id=snapshot))
    with pytest.raises(Verdict, match=r"vm\.snapshot_not_found"):
        await host.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="one"))

    assert (await host.delete(m.DeleteVm(vm=vm))).removed > 0
    assert (await host.delete(m.DeleteVm(vm=vm))).removed == 0
    assert await case.power() == "absent"
    with pytest.raises(Fault, match=r"machine\.lost"):
        await host.start(m.StartVm(vm=vm))


async def test_a_lower_token_is_refused_and_so_is_making_a_deleted_vm_anew_under_its_lease(case: Case) -> None:
    host = case.host
    await host.create(m.CreateVm(vm=case.vm(5), spec=case.spec))
    await host.inspect(m.InspectVm(vm=case.vm(7)))
    for late in (
        host.start(m.StartVm(vm=case.vm(6))),
        host.delete(m.DeleteVm(vm=case.vm(5))),
        host.create(m.CreateVm(vm=case.vm(5), spec=case.spec)),
    ):
        with pytest.raises(Verdict, match=r"lease\.superseded"):
            await late
    await host.delete(m.DeleteVm(vm=case.vm(7)))
    with pytest.raises(Verdict, match=r"lease\.superseded"):
        await host.create(m.CreateVm(vm=case.vm(7), spec=case.spec))
    assert await case.power() == "absent"
    await host.create(m.CreateVm(vm=case.vm(8), spec=case.spec))
    assert (await host.inspect(m.InspectVm(vm=case.vm(8)))).power == "stopped"
    await host.delete(m.DeleteVm(vm=case.vm(8)))


async def test_an_image_that_is_nowhere_is_a_verdict_and_leaves_nothing(case: Case) -> None:
    nowhere = case.spec.image.model_copy(update={"digest": "cd" * 32})
    with pytest.raises(Verdict, match=r"image\.not_found"):
        await case.host.create(m.CreateVm(vm=case.vm(), spec=case.spec.model_copy(update={"image": nowhere})))
    assert await case.power() == "absent"
