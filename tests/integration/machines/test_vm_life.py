"""VMs in good and bad luck, on a real libvirt. Most tests need a QEMU but no guest that is up."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.machines import vm_models as m
from activities.machines.vm_folder import vm_name
from activities.machines.vm_hypervisor import VmHypervisor
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from domain.vm.spec import ImageRef, PortForward, VmSpec
from infra import fence
from infra.process import run
from tests.guests import image_ref, upload
from tests.integration.machines.conftest import House
from tests.integration.machines.vm_yard import Yard, yard_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]  # emulation on a busy host is slow


@pytest.fixture
async def yard(house: House) -> AsyncIterator[Yard]:
    async with yard_of(house) as made:
        yield made


async def test_rounds_of_making_and_removing_leave_nothing(yard: Yard) -> None:
    await rounds(yard, 5)


@pytest.mark.faults
async def test_fifty_rounds_of_making_and_removing_leave_nothing(yard: Yard) -> None:
    await rounds(yard, 50)


async def rounds(yard: Yard, count: int) -> None:
    for number in range(count):
        vm = await yard.start()
        if number % 2:
            await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s"))
        if number % 3 == 0:
            await yard.vms.stop(m.StopVm(vm=vm, grace=0))
        assert await yard.remove(vm) > 0
        assert yard.left() == []


async def test_the_second_vm_of_an_image_copies_nothing_and_both_leave_the_image_as_it_is(yard: Yard) -> None:
    one, two = await yard.create(), yard.ref()
    made = await yard.vms.create(m.CreateVm(vm=two, spec=yard.spec))
    assert not made.fetched
    blob = yard.house.daemon.paths.blob(yard.spec.image.digest)
    assert blob.stat().st_mode & 0o777 == 0o444
    disks = [yard.paths[0] / vm_name(vm.vm_id) / "disk.qcow2" for vm in (one, two)]
    assert all(disk.stat().st_blocks * 512 < 1 << 20 for disk in disks)


async def test_ten_at_once_fetch_an_image_once(yard: Yard, tmp_path: Path) -> None:
    image = await make_image(yard, tmp_path, "qcow2", "16M")
    reads = [call for call in yard.house.objects.calls if call == ("get", f"blobs/{image.digest}")]
    assert not reads
    await asyncio.gather(*(yard.create(yard.spec.model_copy(update={"image": image})) for _ in range(10)))
    assert yard.house.objects.calls.count(("get", f"blobs/{image.digest}")) == 1


async def make_image(yard: Yard, folder: Path, *arguments: str) -> ImageRef:
    """Make a qcow2 with `qemu-img create -f …` and put it into the object store."""
    path = folder / f"{uuid.uuid4()}.qcow2"
    kind, *rest = arguments
    size = rest.pop()
    await run(["qemu-img", "create", "-q", "-f", kind, *rest, str(path), size], timeout=30)
    return await put(yard, path)


async def put(yard: Yard, path: Path) -> ImageRef:
    ref = image_ref(path)
    await yard.house.objects.put_file(f"blobs/{ref.digest}", path)
    return ref


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", "8M"), "image.hostile"),
        (("qcow2", "-u", "-F", "qcow2", "-b", "json:{}", "8M"), "image.hostile"),
        (("qcow2", "-o", "data_file=/tmp/of-data-file.raw", "8M"), "image.hostile"),
        (("qcow2", "3T"), "image.hostile"),
        (("raw", "8M"), "image.not_bootable"),
        (("vmdk", "8M"), "image.not_bootable"),
    ],
)
async def test_an_image_that_is_no_plain_qcow2_is_refused_and_leaves_nothing(
    yard: Yard, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    image = await make_image(yard, tmp_path, *arguments)
    Path("/tmp/of-data-file.raw").unlink(missing_ok=True)
    with pytest.raises(Verdict) as caught:
        await yard.create(yard.spec.model_copy(update={"image": image}))
    assert caught.value.code == code
    assert yard.left() == []


async def test_bytes_that_are_not_what_their_name_says_are_not_kept(yard: Yard, tmp_path: Path) -> None:
    image = await make_image(yard, tmp_path, "qcow2", "17M")
    data = yard.house.objects.objects[f"blobs/{image.digest}"]
    for wrong in (data[:-1] + b"!", data[:-1], data + b"!"):
        await yard.house.objects.put(f"blobs/{image.digest}", wrong)
        with pytest.raises(Fault, match=r"blob\.corrupt"):
            await yard.create(yard.spec.model_copy(update={"image": image}))
    assert not yard.house.daemon.paths.blob(image.digest).exists()
    assert not list(yard.house.daemon.paths.store.rglob(".fetch-*"))


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05, 0.1, 0.3])
async def test_a_making_that_is_cancelled_leaves_nothing_wherever_it_was(yard: Yard, seconds: float) -> None:
    """The `yard` fixture looks for what is left."""
    making = asyncio.create_task(yard.create())
    await asyncio.wait((making,), timeout=seconds)
    made = making.done()
    making.cancel()
    if not made:
        with pytest.raises(asyncio.CancelledError):
            await making
        assert yard.left() == []


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.3, 1.0])
async def test_a_start_that_is_cancelled_can_be_repeated_or_the_vm_removed(yard: Yard, seconds: float) -> None:
    vm = await yard.create()
    start = asyncio.create_task(yard.vms.start(m.StartVm(vm=vm)))
    await asyncio.wait((start,), timeout=seconds)
    start.cancel()
    await asyncio.wait((start,))
    if seconds < 0.1:
        await yard.vms.start(m.StartVm(vm=vm))
        assert (await yard.power(vm)).power == "running"
    assert await yard.remove(vm) > 0


async def test_a_killed_qemu_is_told_once_as_a_loss_and_the_vm_can_be_started_again(yard: Yard) -> None:
    vm = await yard.start()
    watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
    yard.house.daemon.qemu(vm_name(vm.vm_id)).kill()
    observed = await yard.told(vm, 5)
    assert (observed.seen.power, observed.boot, observed.token) == ("lost", 1, 1)
    assert "not by the guest" in (observed.seen.reason or "")
    assert (await yard.power(vm)).power == "lost"
    assert (await yard.vms.start(m.StartVm(vm=vm))).boot == 2
    await asyncio.sleep(2.5)
    await yard.vms.stop(m.StopVm(vm=vm, grace=0))
    await asyncio.sleep(2.5)
    assert len(yard.seen) == 1
    watch.cancel()


async def test_a_vm_that_could_not_be_stopped_is_watched_again(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = await yard.start()
    disk_only = await yard.create()
    await yard.vms.take_snapshot(m.TakeSnapshot(vm=disk_only, snapshot_id="s"))
    await yard.vms.start(m.StartVm(vm=disk_only))

    async def broken(_hypervisor: VmHypervisor, name: str) -> None:
        raise Fault.because("hypervisor.failed", f"{name} cannot be ended")

    with monkeypatch.context() as patch:
        patch.setattr(VmHypervisor, "power_off", broken)
        with pytest.raises(Fault, match=r"hypervisor\.failed"):
            await yard.vms.stop(m.StopVm(vm=vm, grace=0))
        with pytest.raises(Fault, match=r"hypervisor\.failed"):
            await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=disk_only, snapshot_id="s"))
    watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
    for each in (vm, disk_only):
        yard.house.daemon.qemu(vm_name(each.vm_id)).kill()
        assert (await yard.told(each)).seen.power == "lost"
    watch.cancel()


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_what_is_restored_has_its_forwards_if_it_runs_and_none_if_it_is_off(yard: Yard) -> None:
    vm = await yard.create(yard.spec.model_copy(update={"forwards": (PortForward(guest_port=80),)}))
    await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="off"))
    [first] = (await yard.vms.start(m.StartVm(vm=vm))).forwards
    await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="on"))
    await yard.vms.stop(m.StopVm(vm=vm, grace=0))
    assert not await listens(first.host_port or 0)
    restored = await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="on"))
    assert restored.forwards is not None
    [again] = restored.forwards
    assert again.guest_port == 80
    assert await listens(again.host_port or 0)
    restored = await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id="off"))
    assert (restored.running, restored.forwards) == (False, ())
    assert not await listens(again.host_port or 0)


async def test_a_vm_that_is_lost_listens_no_longer(yard: Yard) -> None:
    vm = await yard.create(yard.spec.model_copy(update={"forwards": (PortForward(guest_port=80),)}))
    [forward] = (await yard.vms.start(m.StartVm(vm=vm))).forwards
    watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
    yard.house.daemon.qemu(vm_name(vm.vm_id)).kill()
    await yard.told(vm)
    assert not await listens(forward.host_port or 0)
    watch.cancel()


async def test_a_killed_libvirtd_is_no_news_but_a_vm_killed_meanwhile_is(yard: Yard) -> None:
    alive, dead = await yard.start(), await yard.start()
    qemu = yard.house.daemon.qemu(vm_name(dead.vm_id))
    watch = asyncio.create_task(yard.vms.watch(yard.observe).run())
    [libvirtd] = yard.house.daemon.descendants("libvirtd")
    libvirtd.kill()
    qemu.kill()
    libvirtd.wait(10)
    await yard.house.daemon.wait_ready()
    assert (await yard.told(dead)).seen.power == "lost"
    assert (await yard.power(alive)).power == "running"
    assert [vm_id for vm_id, _ in yard.seen] == [dead.vm_id]
    watch.cancel()


async def test_an_observer_that_fails_is_told_again(yard: Yard) -> None:
    vm = await yard.start()
    failures = 2

    async def observe(ref: VmRef, observed: m.VmObserved) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("the factory is away")
        await yard.observe(ref, observed)

    watch = asyncio.create_task(yard.vms.watch(observe).run())
    yard.house.daemon.qemu(vm_name(vm.vm_id)).kill()
    assert (await yard.told(vm)).seen.power == "lost"
    watch.cancel()


async def test_a_worker_that_follows_a_killed_one_goes_on_with_its_vms(yard: Yard) -> None:
    vm = await yard.start()
    await yard.vms.close()  # as the death of a worker: libvirt and the serial port are let go, nothing else
    follower = yard.house.vms()
    assert follower.attach(vm.vm_id, print) is None
    assert await follower.adopt() == 1
    heard = asyncio.Event()
    tap = follower.attach(vm.vm_id, lambda _data: heard.set())
    assert tap is not None
    tap.close()
    assert (await follower.start(m.StartVm(vm=vm))).boot == 1
    assert (await follower.inspect(m.InspectVm(vm=vm))).power == "running"
    assert follower.screen(vm.vm_id).is_socket()
    await follower.close()


async def test_a_start_that_was_killed_halfway_is_finished_by_the_next(yard: Yard) -> None:
    """A halted QEMU, as a worker leaves it that dies between starting QEMU and letting it run."""
    vm = await yard.start()
    name = vm_name(vm.vm_id)
    await yard.house.suspend(name)
    assert (await yard.power(vm)).power == "paused"
    assert (await yard.vms.start(m.StartVm(vm=vm))).boot == 1
    assert (await yard.power(vm)).power == "running"


async def test_a_snapshot_that_was_interrupted_is_taken_anew(yard: Yard) -> None:
    vm = await yard.start()
    taking = asyncio.create_task(yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s")))
    await asyncio.sleep(0.05)
    taking.cancel()
    await asyncio.wait((taking,))
    folder = yard.paths[0] / vm_name(vm.vm_id)
    assert not list(folder.glob("*-s.*"))
    assert (await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s"))).memory
    # As a worker leaves it that dies before it has written down that the snapshot is complete.
    (folder / "snapshot-s.json").unlink()
    assert (await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id="s"))).memory
    await yard.vms.drop_snapshot(m.DropSnapshot(vm=vm, snapshot_id="s"))
    assert not list(folder.glob("*-s.*"))
    listed = await run(["qemu-img", "info", "-U", "--output=json", str(folder / "disk.qcow2")], timeout=10)
    assert not json.loads(listed.stdout).get("snapshots")


async def test_a_snapshot_brings_the_firmwares_variables_back(yard: Yard) -> None:
    vm = await yard.create(yard.spec.model_copy(update={"firmware": "uefi", "memory": 256}))
    variables = yard.paths[0] / vm_name(vm.vm_id) / "variables.fd"
    for running in (True, False):
        await yard.vms.stop(m.StopVm(vm=vm, grace=0))
        if running:
            await yard.vms.start(m.StartVm(vm=vm))
        name = f"running-{running}"
        assert (await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id=name))).memory is running
        await yard.vms.stop(m.StopVm(vm=vm, grace=0))
        kept = variables.read_bytes()
        with variables.open("r+b") as file:
            file.seek(len(kept) // 2)
            file.write(b"what the guest wrote later")
        assert (await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=vm, snapshot_id=name))).running is running
        assert variables.read_bytes() == kept


async def test_ids_of_snapshots_are_no_paths(yard: Yard) -> None:
    vm = await yard.create()
    for bad in ("../x", "", "a/b", "-x", "x" * 65):
        with pytest.raises(Verdict, match=r"vm\.snapshot_not_found"):
            await yard.vms.take_snapshot(m.TakeSnapshot(vm=vm, snapshot_id=bad))


async def test_a_vm_too_big_for_the_host_is_not_started_and_not_lost(yard: Yard) -> None:
    vm = await yard.create(yard.spec.model_copy(update={"memory": 1 << 20}))
    with pytest.raises(Fault, match=r"host\.memory"):
        await yard.vms.start(m.StartVm(vm=vm))
    assert (await yard.power(vm)).power == "stopped"


async def test_a_build_sweep_leaves_vms_alone_and_theirs_removes_what_nobody_holds(yard: Yard) -> None:
    vm = await yard.start()
    machines = yard.house.machines()
    assert await machines.sweep(1e12) == 0
    await machines.close()
    stray = yard.paths[0] / "vm-000000000000"
    stray.mkdir()
    assert await yard.vms.sweep() == 1
    assert await yard.vms.sweep() == 0
    assert (await yard.power(vm)).power == "running"


async def test_a_host_that_begins_to_hold_its_lease_removes_what_was_given_up(yard: Yard) -> None:
    kept, given_up, newer = await yard.start(), await yard.start(), await yard.create()
    newer = newer.model_copy(update={"token": 9})
    await yard.power(newer)
    held = (m.HeldVm(vm_id=kept.vm_id, token=4),)
    assert await yard.vms.obey(m.HoldHost(host="h", floor=5, vms=held)) == 1
    assert (await yard.power(given_up)).power == "absent"
    assert (await yard.power(newer)).power == "stopped"
    with pytest.raises(Verdict, match=r"lease\.superseded"):
        await yard.power(kept)
    assert (await yard.power(kept.model_copy(update={"token": 4}))).power == "running"


async def test_a_lapsed_lease_ends_all_vms_and_starts_none(yard: Yard) -> None:
    vm = await yard.start()
    yard.vms.hold_until(0)
    assert await yard.vms.fence() == 1
    assert (await yard.power(vm)).power == "lost"
    with pytest.raises(Fault, match=r"host\.fenced"):
        await yard.vms.start(m.StartVm(vm=vm))
    yard.vms.hold_until(time.monotonic() + 1000)
    await yard.vms.start(m.StartVm(vm=vm))
    assert (await yard.power(vm)).power == "running"


async def test_a_lease_that_lapses_while_the_worker_does_nothing_ends_its_vms_all_the_same(yard: Yard) -> None:
    vm, machine = await yard.start(), await yard.start()
    yard.vms.hold_until(time.monotonic() - fence.GRACE_SECONDS + 1)
    async with asyncio.timeout(20):
        while {(await yard.power(each)).power for each in (vm, machine)} != {"lost"}:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)
    yard.vms.hold_until(time.monotonic() + 1000)
    assert (await yard.vms.start(m.StartVm(vm=vm))).boot == 2
    await asyncio.sleep(2.5)
    assert (await yard.power(vm)).power == "running"


async def test_a_host_that_has_no_memory_for_a_vm_says_so_and_the_vm_is_off(yard: Yard) -> None:
    vm = await yard.create(yard.spec.model_copy(update={"memory": 512 << 10}))
    with pytest.raises(Fault, match=r"host\.memory"):
        await yard.vms.start(m.StartVm(vm=vm))
    assert (await yard.power(vm)).power == "stopped"
    await yard.remove(vm)
    assert yard.left() == []


async def test_an_iso_runs_without_a_disk_and_with_one(yard: Yard) -> None:
    iso = await upload(yard.house.objects, "silent", "iso")
    bare = await yard.create(VmSpec(name="live", image=iso, memory=192, firmware="bios"))
    assert (await yard.vms.create(m.CreateVm(vm=bare, spec=yard.spec))).disk_bytes == 0
    await yard.vms.start(m.StartVm(vm=bare))
    assert (await yard.vms.take_snapshot(m.TakeSnapshot(vm=bare, snapshot_id="s"))).memory
    assert (await yard.vms.restore_snapshot(m.RestoreSnapshot(vm=bare, snapshot_id="s"))).running
    await yard.vms.stop(m.StopVm(vm=bare, grace=0))
    with pytest.raises(Verdict, match=r"vm\.wrong_state"):
        await yard.vms.take_snapshot(m.TakeSnapshot(vm=bare, snapshot_id="t"))
    full = await yard.create(VmSpec(name="install", image=iso, memory=192, disk=64, firmware="bios"))
    await yard.vms.start(m.StartVm(vm=full))
    assert (await yard.power(full)).power == "running"
