"""Deleting builds: refused while they are needed, then gone at once, and known as gone."""

from functools import partial
from urllib.parse import unquote, urlsplit

import pytest

from domain.build import events as e
from domain.errors import Verdict
from domain.suite.inputs import Binding
from domain.vm.commands import RequestVm
from domain.vm.decide import decide as decide_vm
from domain.vm.state import fold
from service.admission.credentials import OPERATOR
from service.build_create import create_build
from service.build_delete import delete_build
from service.build_queries import StatusQuery, get_build_status, list_builds
from service.downloads import get_download_links, open_download
from service.vm_create import VmWish, create_vm
from tests.fakes.factory import NOW, READER, STRANGER, World, failed, published, recipe_document
from tests.fakes.suites import kept_suite
from tests.machines import VM_ID, image, request

ID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def world() -> World:
    return World()


def completed(world: World) -> None:
    done = e.BuildCompleted(build_id=ID, org_id="local", at=NOW, seconds=60.0)
    world.build(published(ID), done, build_id=ID)


async def refusal(world: World) -> str:
    with pytest.raises(Verdict) as refused:
        await delete_build(world.factory, OPERATOR, ID)
    return refused.value.code


async def test_a_deleted_build_is_gone_from_the_list_and_known_by_its_id(world: World) -> None:
    completed(world)
    view = await delete_build(world.factory, OPERATOR, ID, reason="too old")
    assert (view.files, view.bytes, view.replayed) == (2, 600 << 20, False)
    assert (await list_builds(world.factory, OPERATOR)).builds == ()
    assert [b.build_id for b in (await list_builds(world.factory, OPERATOR, status="deleted")).builds] == [ID]
    with pytest.raises(Verdict, match=r"build\.deleted.*too old"):
        await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert (await delete_build(world.factory, OPERATOR, ID)).replayed


async def test_a_reason_is_told_without_what_moves_a_terminal_or_hides(world: World) -> None:
    completed(world)
    await delete_build(world.factory, OPERATOR, ID, reason="\x1b[2J\u202etoo\u200b old")
    with pytest.raises(Verdict) as told:
        await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert told.value.problems[0].message.endswith(": too old")


@pytest.mark.parametrize("expired", [False, True])
async def test_a_request_that_made_a_deleted_build_says_that_it_takes_another_one(
    world: World, *, expired: bool
) -> None:
    again = partial(create_build, world.factory, OPERATOR, recipe_document(), request_key="k")
    build_id = (await again()).build_id
    world.reads.apply(e.BuildCompleted(build_id=build_id, org_id="local", at=NOW, seconds=60.0))
    if expired:
        world.reads.apply(e.ArtifactsExpired(build_id=build_id, org_id="local", at=NOW, reason="The plan is over."))
    await delete_build(world.factory, OPERATOR, build_id)
    view = await again()
    assert (view.build_id, view.status, view.replayed) == (build_id, "deleted", True)
    assert "get_build_status" not in str(view.next)
    assert "request_key" in str(view.next)


async def test_its_links_stop_working_at_once(world: World) -> None:
    completed(world)
    world.objects.objects["blobs/" + "ab" * 32] = b"bytes"
    link = (await get_download_links(world.factory, OPERATOR, ID)).links[0]
    _, _, token, name = urlsplit(link.url).path.split("/")
    assert (await open_download(world.factory, token, unquote(name))).bytes == 5
    await delete_build(world.factory, OPERATOR, ID)
    with pytest.raises(Verdict, match=r"object\.not_found"):
        await open_download(world.factory, token, unquote(name))
    with pytest.raises(Verdict, match=r"build\.deleted"):
        await get_download_links(world.factory, OPERATOR, ID)


async def test_a_build_that_has_not_ended_is_not_deleted(world: World) -> None:
    world.build(build_id=ID)
    assert await refusal(world) == "build.not_ended"
    world.reads.apply(failed(ID))
    assert await refusal(world) == "build.not_ended"


async def test_a_build_that_a_machine_is_made_of_is_not_deleted(world: World) -> None:
    completed(world)
    asked = request(VM_ID, org_id="local", image=image(source_id=ID))
    vm = fold(decide_vm(None, RequestVm(request=asked), now=NOW))
    assert vm is not None
    world.reads.vms[VM_ID] = vm
    with pytest.raises(Verdict, match=r"build\.in_use.*the machine web"):
        await delete_build(world.factory, OPERATOR, ID)


async def test_a_build_that_a_suite_is_bound_to_is_not_deleted(world: World) -> None:
    completed(world)
    suite = kept_suite(world.tests, "s")
    bound = (Binding(slot=suite.slots[0], source="build", source_id=ID),)
    world.reads.suites["s"] = suite.model_copy(update={"bindings": bound})
    assert await refusal(world) == "build.in_use"


async def test_others_cannot_delete_it(world: World) -> None:
    completed(world)
    with pytest.raises(Verdict, match=r"permission\.denied"):
        await delete_build(world.factory, READER, ID)
    with pytest.raises(Verdict, match=r"build\.not_found"):
        await delete_build(world.factory, STRANGER, ID)


async def test_expired_files_are_said_to_be_expired_and_the_record_stays(world: World) -> None:
    completed(world)
    reason = "The plan free keeps files for 7 days."
    world.reads.apply(e.ArtifactsExpired(build_id=ID, org_id="local", at=NOW, reason=reason))
    view = await get_build_status(world.factory, OPERATOR, ID, StatusQuery())
    assert view.status == "completed"
    assert view.next is not None
    assert reason in view.next
    with pytest.raises(Verdict, match=r"build\.expired"):
        await get_download_links(world.factory, OPERATOR, ID)
    with pytest.raises(Verdict, match=r"build\.expired"):
        await create_vm(world.factory, OPERATOR, VmWish(build_id=ID))
