"""Uploading an image: announced, sent in parts that may break off, judged, forgotten."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.errors import Verdict
from domain.image.commands import AcceptImage
from service.admission.credentials import OPERATOR
from service.image_uploads import take_bytes, upload_state
from service.images import create_image_upload, delete_image, get_image, list_images
from tests.fakes.factory import STRANGER, World

DATA = bytes(range(256)) * 80_000  # two whole parts of 8 MiB and some more
SHA256 = hashlib.sha256(DATA).hexdigest()


def announced(**more: object) -> dict[str, Any]:
    return {"name": "mine.qcow2", "format": "qcow2", "bytes": len(DATA), "sha256": SHA256, **more}


async def chunks(data: bytes, *, broken: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]
    if broken:
        raise ConnectionResetError


def token_of(url: str | None) -> str:
    assert url is not None
    return url.rpartition("/")[2]


async def test_an_upload_that_breaks_off_goes_on_where_the_last_whole_part_ended(world: World) -> None:
    view = await create_image_upload(world.factory, OPERATOR, announced(), request_key="one")
    token = token_of(view.upload_url)
    with pytest.raises(ConnectionResetError):
        await take_bytes(world.factory, token, 0, chunks(DATA[: 12 << 20], broken=True))
    there = (await upload_state(world.factory, token)).offset
    assert there == 8 << 20
    assert (await get_image(world.factory, OPERATOR, view.image_id)).received == there
    done = await take_bytes(world.factory, token, there, chunks(DATA[there:]))
    assert done.offset == len(DATA)
    assert world.images.received == [view.image_id]
    parts = sorted(key for key in world.objects.objects if key.startswith("uploads/"))
    assert b"".join(world.objects.objects[key] for key in parts) == DATA


async def test_the_same_request_key_gives_the_same_upload_and_another_file_is_refused(world: World) -> None:
    first = await create_image_upload(world.factory, OPERATOR, announced(), request_key="one")
    again = await create_image_upload(world.factory, OPERATOR, announced(), request_key="one")
    assert (again.image_id, again.replayed) == (first.image_id, True)
    with pytest.raises(Verdict) as refused:
        await create_image_upload(world.factory, OPERATOR, announced(bytes=5), request_key="one")
    assert refused.value.code == "request_key.reused"


async def test_everything_wrong_with_an_announcement_is_said_at_once(world: World) -> None:
    wrong = announced(name="../etc/passwd", format="vmdk", bytes=-1, sha256="nothing")
    with pytest.raises(Verdict) as refused:
        await create_image_upload(world.factory, OPERATOR, wrong)
    assert {problem.path for problem in refused.value.problems} == {"name", "format", "bytes", "sha256"}


@pytest.mark.parametrize("offset", [1, len(DATA)])
async def test_a_part_at_the_wrong_place_is_refused_and_says_where_to_go_on(world: World, offset: int) -> None:
    view = await create_image_upload(world.factory, OPERATOR, announced())
    with pytest.raises(Verdict, match="goes on at byte 0"):
        await take_bytes(world.factory, token_of(view.upload_url), offset, chunks(DATA))


async def test_more_bytes_than_announced_are_refused(world: World) -> None:
    view = await create_image_upload(world.factory, OPERATOR, announced(bytes=100))
    with pytest.raises(Verdict) as refused:
        await take_bytes(world.factory, token_of(view.upload_url), 0, chunks(DATA))
    assert refused.value.code == "upload.too_long"


async def test_a_changed_link_opens_nothing(world: World) -> None:
    view = await create_image_upload(world.factory, OPERATOR, announced())
    token = token_of(view.upload_url)
    with pytest.raises(Verdict) as refused:
        await upload_state(world.factory, token[:-3] + "AAA")
    assert refused.value.code == "link.invalid"


async def test_another_organization_sees_no_image_and_can_forget_none(world: World) -> None:
    view = await create_image_upload(world.factory, OPERATOR, announced())
    assert (await list_images(world.factory, STRANGER)).images == ()
    for attempt in (get_image, delete_image):
        with pytest.raises(Verdict) as refused:
            await attempt(world.factory, STRANGER, view.image_id)
        assert refused.value.code == "image.not_found"


async def test_a_forgotten_image_is_not_listed_and_forgetting_it_again_is_harmless(world: World) -> None:
    view = await create_image_upload(world.factory, OPERATOR, announced())
    world.images.do(view.image_id, AcceptImage(virtual_bytes=1 << 30))
    assert (await get_image(world.factory, OPERATOR, view.image_id)).status == "ready"
    assert (await delete_image(world.factory, OPERATOR, view.image_id)).status == "deleted"
    assert (await delete_image(world.factory, OPERATOR, view.image_id)).replayed
    assert (await list_images(world.factory, OPERATOR)).images == ()


async def test_an_upload_says_whose_plan_keeps_it(world: World) -> None:
    paying = OPERATOR.model_copy(update={"plan": "pro"})
    view = await create_image_upload(world.factory, paying, announced())
    assert world.images.states[view.image_id].account == "pro"
