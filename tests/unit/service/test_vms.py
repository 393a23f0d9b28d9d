"""The service of machines: who gets one, what is refused, what is repeated without harm."""

from typing import Any

import pytest

from activities.machines.vm_models import CommandDone
from domain.caller import Caller
from domain.errors import Fault, Problem, Verdict
from domain.vm import commands as c
from domain.vm import orders as o
from service import vm_commands, vm_create, vm_guest, vm_queries
from service.admission.credentials import OPERATOR
from service.downloads import open_download
from service.vm_create import VmWish
from service.vm_guest import GuestCommand
from service.vm_queries import VmListQuery
from tests.fakes.factory import STRANGER, World, failed, published
from tests.fakes.vm_front import PNG, later
from tests.machines import request

BUILT = "33333333-3333-4333-8333-333333333333"
NEWER = "ffffffff-ffff-4fff-8fff-ffffffffffff"
VM = "22222222-2222-4222-8222-222222222222"
FREE = OPERATOR.model_copy(update={"plan": "free"})


@pytest.fixture
def built(world: World) -> World:
    """A factory with a build whose images are verified."""
    world.build(published(BUILT), build_id=BUILT)
    return world


async def create(world: World, caller: Caller = OPERATOR, key: str | None = None, **wish: Any) -> Any:
    given = {"build_id": BUILT} | wish
    return await vm_create.create_vm(world.factory, caller, VmWish.model_validate(given), request_key=key)


async def refused(world: World, caller: Caller = OPERATOR, **wish: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(Verdict) as verdict:
        await create(world, caller, **wish)
    return [(problem.code, problem.path) for problem in verdict.value.problems]


def have(world: World, **changes: Any) -> str:
    world.vms.have(request(VM, org_id="local", **changes))
    return VM


async def test_a_machine_is_made_of_the_builds_disk_as_it_was_tested(built: World) -> None:
    view = await create(built, memory=512, forwards=[80, 80], networks=["lab"])
    assert (view.status, view.name, view.visible) == ("pending", "minimal-bookworm", True)
    assert view.image.verification == "verified"
    assert view.warning is None
    spec = built.vms.requests[view.vm_id].spec
    assert (spec.image.digest, spec.image.format, spec.firmware, spec.ttl) == ("ab" * 32, "qcow2", "uefi", 14_400)
    assert [forward.guest_port for forward in spec.forwards] == [80]
    assert (spec.networks[0].name, spec.networks[0].scope, spec.networks[0].hostname) == (
        "lab",
        "local",
        "minimal-bookworm",
    )


async def test_an_iso_is_booted_as_isos_are(built: World) -> None:
    view = await create(built, artifact="iso")
    assert (view.image.format, view.firmware) == ("iso", "bios")


async def test_an_unverified_image_is_called_so_in_the_answer(world: World) -> None:
    world.build(published(BUILT, verified=False), failed(BUILT), build_id=BUILT)
    view = await create(world)
    assert view.image.verification == "unverified"
    assert "UNVERIFIED" in view.warning


async def test_a_build_without_images_says_what_it_has(world: World) -> None:
    world.build(build_id=BUILT)
    assert await refused(world) == [("build.no_image", "build_id")]
    assert await refused(world, build_id=VM) == [("build.not_found", "build_id")]
    assert await refused(world, build_id=None, image_id=VM) == [("image.not_found", "image_id")]
    assert await refused(world, image_id=VM) == [("argument.conflict", "build_id")]


async def test_what_the_plan_does_not_allow_is_told_at_once(built: World) -> None:
    assert await refused(built, FREE, memory=8192, cpus=8, persistent=True) == [
        ("vm.over_plan", "memory"),
        ("vm.over_plan", "cpus"),
        ("vm.over_plan", "persistent"),
    ]
    assert await refused(built, FREE, ttl_minutes=60, persistent=True) == [("argument.conflict", "ttl_minutes")]
    assert (await create(built, FREE)).expires_at == later(240)


async def test_a_quota_is_held_before_anything_is_started(built: World) -> None:
    for _ in range(3):
        await create(built, FREE)
    assert ("vm.quota", "vms") in await refused(built, FREE)
    assert len(built.vms.requests) == 3


async def test_a_quota_that_others_used_up_meanwhile_is_refused_by_the_log(built: World) -> None:
    built.vms.full = True
    assert await refused(built) == [("vm.quota", None)]


async def test_the_same_key_gives_the_same_machine_and_another_wish_is_refused(built: World) -> None:
    first = await create(built, key="k")
    again = await create(built, key="k")
    assert (again.vm_id, again.replayed, len(built.vms.requests)) == (first.vm_id, True, 1)
    assert await refused_key(built) == "request_key.reused"


async def test_a_repeat_means_the_image_that_it_meant_the_first_time(built: World) -> None:
    first = await create(built, key="k", build_id="latest")
    other = built.build(
        published("ffffffff-ffff-4fff-8fff-ffffffffffff"), build_id="ffffffff-ffff-4fff-8fff-ffffffffffff"
    )
    again = await create(built, key="k", build_id="latest")
    assert (again.vm_id, again.replayed) == (first.vm_id, True)
    del built.reads.builds[BUILT]
    assert (await create(built, key="k", build_id=BUILT)).replayed
    with pytest.raises(Verdict, match=r"request_key\.reused"):
        await create(built, key="k", build_id=other)


async def refused_key(world: World) -> str:
    with pytest.raises(Verdict) as verdict:
        await create(world, key="k", memory=2048)
    return verdict.value.code


async def test_a_machine_that_cannot_be_seen_yet_is_accepted_all_the_same(built: World) -> None:
    built.vms.lagging = True
    view = await create(built)
    assert (view.visible, view.status) == (False, "pending")
    assert (await vm_queries.get_vm(built.factory, OPERATOR, view.vm_id)).visible is False


async def test_machines_of_others_do_not_exist(world: World) -> None:
    have(world)
    assert (await vm_queries.list_vms(world.factory, STRANGER, VmListQuery())).vms == ()
    with pytest.raises(Verdict, match=r"vm\.not_found"):
        await vm_commands.start_vm(world.factory, STRANGER, VM)
    with pytest.raises(Verdict, match=r"vm\.not_found"):
        await vm_queries.get_vm(world.factory, OPERATOR, "not an id")


async def test_a_list_leaves_deleted_ones_out_unless_they_are_asked_for(world: World) -> None:
    have(world)
    world.vms.tell(VM, c.RecordDeleting(requested_by="me", reason="x"), c.RecordDeleted(removed=1))
    assert (await vm_queries.list_vms(world.factory, OPERATOR, VmListQuery())).vms == ()
    gone = (await vm_queries.list_vms(world.factory, OPERATOR, VmListQuery(deleted=True))).vms
    assert [vm.status for vm in gone] == ["deleted"]


async def test_what_the_workflow_of_a_deleted_machine_did_is_linked_for_its_own_organization(world: World) -> None:
    for run in ("20300101T000000-1", "20300102T000000-2", "20300103T000000-3"):
        world.objects.objects[f"histories/vm-{VM}/{run}-{'ee' * 32}.json.gz"] = b"history"
    have(world)
    assert (await vm_queries.get_vm(world.factory, OPERATOR, VM)).histories == ()
    world.vms.tell(VM, c.RecordDeleting(requested_by="me", reason="x"), c.RecordDeleted(removed=1))
    histories = (await vm_queries.get_vm(world.factory, OPERATOR, VM)).histories
    assert [(h.name, h.bytes, h.sha256) for h in histories] == [
        ("history-20300102T000000.json.gz", 7, "ee" * 32),
        ("history-20300103T000000.json.gz", 7, "ee" * 32),
    ]
    token, name = histories[-1].url.split("/")[-2:]
    assert (await open_download(world.factory, token, name)).bytes == 7
    with pytest.raises(Verdict, match=r"vm\.not_found"):
        await vm_queries.get_vm(world.factory, STRANGER, VM)
    world.objects.away = True
    view = await vm_queries.get_vm(world.factory, OPERATOR, VM)
    assert (view.status, view.histories) == ("deleted", ())


async def test_a_machine_in_the_queue_tells_its_place(world: World) -> None:
    world.vms.have(request(VM, org_id="local"), running=False)
    world.vms.tell(VM, c.RecordWaiting(position=2, reason="Waiting for room: 512 MiB"))
    world.vms.queue = ("another", VM)
    view = await vm_queries.get_vm(world.factory, OPERATOR, VM)
    assert (view.queue_position, view.waiting) == (2, "Waiting for room: 512 MiB")
    world.vms.away = True
    assert (await vm_queries.get_vm(world.factory, OPERATOR, VM)).queue_position is None


async def test_waiting_ends_at_once_when_the_machine_rests(world: World) -> None:
    have(world)
    view = await vm_queries.get_vm(world.factory, OPERATOR, VM, wait_s=25)
    assert (view.ready, world.reads.waits) == (True, [])


async def test_every_command_goes_to_the_machines_workflow_once(world: World) -> None:
    have(world)
    factory = world.factory
    view = await vm_commands.stop_vm(factory, OPERATOR, VM, grace_s=5, request_key="k")
    again = await vm_commands.stop_vm(factory, OPERATOR, VM, grace_s=5, request_key="k")
    assert (view.commands[-1].command, again.replayed, len(world.vms.orders)) == ("stop", True, 1)
    order = world.vms.orders[0][1]
    assert isinstance(order, o.StopVm)
    assert (order.grace, order.requested_by) == (5, "operator")


async def test_a_command_that_is_not_seen_yet_says_that_it_was_accepted(world: World) -> None:
    have(world)
    world.vms.lagging = True
    view = await vm_commands.restart_vm(world.factory, OPERATOR, VM)
    assert (view.visible, str(view.next).startswith("The command was accepted")) == (False, True)


async def test_a_snapshot_that_there_is_not_cannot_be_gone_back_to(world: World) -> None:
    have(world)
    with pytest.raises(Verdict, match=r"snapshot\.not_found"):
        await vm_commands.restore_vm(world.factory, OPERATOR, VM, "none")
    await vm_commands.snapshot_vm(world.factory, OPERATOR, VM, name="before", request_key="k")
    taken = world.vms.orders[-1][1]
    assert isinstance(taken, o.TakeSnapshot)
    world.vms.tell(
        VM,
        c.RecordSnapshot(
            snapshot_id=taken.snapshot_id, name="before", memory=True, bytes=9, seconds=1.0, command_id=taken.command_id
        ),
    )
    listed = await vm_queries.list_snapshots(world.factory, OPERATOR, VM)
    assert [(s.snapshot_id, s.memory) for s in listed.snapshots] == [(taken.snapshot_id, True)]
    await vm_commands.restore_vm(world.factory, OPERATOR, VM, taken.snapshot_id)
    await vm_commands.delete_snapshot(world.factory, OPERATOR, VM, taken.snapshot_id)


async def test_a_life_is_made_longer_within_the_plan(world: World) -> None:
    have(world)
    await vm_commands.extend_vm(world.factory, FREE, VM, minutes=60)
    order = world.vms.orders[-1][1]
    assert isinstance(order, o.ExtendVm)
    assert order.seconds == 3600
    with pytest.raises(Verdict, match=r"vm\.over_plan"):
        await vm_commands.extend_vm(world.factory, FREE, VM, minutes=600)
    with pytest.raises(Verdict, match=r"vm\.over_plan"):
        await vm_commands.extend_vm(world.factory, FREE, VM, persistent=True)
    with pytest.raises(Verdict, match=r"argument\.conflict"):
        await vm_commands.extend_vm(world.factory, FREE, VM)


async def test_deleting_what_is_deleted_changes_nothing(world: World) -> None:
    have(world)
    world.vms.tell(VM, c.RecordDeleting(requested_by="me", reason="x"), c.RecordDeleted(removed=1, note="n"))
    view = await vm_commands.delete_vm(world.factory, OPERATOR, VM)
    assert (view.status, view.replayed, view.note, world.vms.orders) == ("deleted", True, "n", [])
    with pytest.raises(Verdict, match=r"vm\.deleted"):
        await vm_commands.start_vm(world.factory, OPERATOR, VM)


async def test_what_a_guest_says_is_cleaned_and_capped(world: World) -> None:
    have(world)
    world.vms.answer = CommandDone(status=3, stdout="\x1b[31mred\n" + "x" * 9000, stderr="\x07oops")
    view = await vm_guest.run_vm_command(world.factory, OPERATOR, VM, GuestCommand(argv=("cat", "x")), request_key="k")
    assert (view.status, view.stderr, view.truncated, view.untrusted) == (3, "oops", True, True)
    assert view.stdout.startswith("red\n")
    assert len(view.stdout) == vm_guest.STREAM_BYTES
    assert (world.vms.ran[0].argv, world.vms.ran[0].requested_by) == (("cat", "x"), "operator")


async def test_a_screenshot_comes_with_its_bytes_and_a_link(world: World) -> None:
    have(world)
    world.vms.console = "login:\x1b]0;evil\x07"
    taken = await vm_guest.get_vm_screenshot(world.factory, OPERATOR, VM)
    assert (taken.png, taken.view.text, taken.view.width) == (PNG, "login:", 720)
    assert taken.view.url.startswith("http://127.0.0.1:7300/download/")


async def test_a_console_keeps_its_machine_from_being_idle(world: World) -> None:
    have(world)
    link = await vm_commands.console_link(world.factory, OPERATOR, VM, "vnc", view_only=True)
    assert (link.view_only, world.vms.touched) == (True, [VM])
    world.vms.away = True
    assert (await vm_commands.console_link(world.factory, OPERATOR, VM, "serial", view_only=False)).channel == "serial"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "run_vm_command"),
        ((c.RecordStopped(token=7, boot=1, how="by_itself", reason="powered off"),), "start_vm"),
        ((c.RecordLost(token=7, what="machine", reason="QEMU was killed"),), "lost"),
        (
            (
                c.RecordNotReady(
                    token=7, boot=1, cause="verdict", problems=(Problem(code="guest.silent", message="no agent"),)
                ),
            ),
            "get_vm_screenshot",
        ),
        ((c.AcceptOrder(command_id="x", command="restart", requested_by="me"),), "restart is being done"),
    ],
)
async def test_every_answer_says_what_can_be_done_next(world: World, more: tuple[c.VmCommand, ...], words: str) -> None:
    have(world)
    world.vms.tell(VM, *more)
    assert words in str((await vm_queries.get_vm(world.factory, OPERATOR, VM)).next)


async def test_the_end_that_is_near_is_told(world: World) -> None:
    have(world, ttl=3600)
    end = world.vms.vms[VM].expires_at
    assert end is not None
    world.vms.tell(VM, c.RecordExpiring(expires_at=end))
    world.now = later(55)
    view = await vm_queries.get_vm(world.factory, OPERATOR, VM)
    assert "will be deleted in 5 minutes" in str(view.warning)


async def test_a_workflow_engine_that_is_away_is_a_fault(built: World) -> None:
    built.vms.away = True
    with pytest.raises(Fault, match=r"temporal\.unavailable"):
        await create(built)
