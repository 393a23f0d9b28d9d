"""Uploaded images: announcing one, looking at it, forgetting it."""

from contextlib import suppress
from datetime import timedelta

from domain.budget import ROW_CHARACTERS, VIEW_BYTES, that_fit
from domain.caller import Caller
from domain.errors import Fault, Problem, Verdict
from domain.image.inputs import ImageRequest
from domain.image.state import ImageState, ImageStatus
from domain.image.views import ImagePage, ImageView
from domain.text import clean_untrusted
from infra.uploads import UploadGrant
from service.build_view import clipped
from service.factory import Factory
from service.ids import derived_id, is_build_id
from service.image_uploads import received_bytes
from service.model_errors import problems_of
from service.permissions import require

MOST_IMAGES = 50
_TOOL = "create_image_upload"
_VISIBLE_SECONDS = 2.0
_LINK_LIFETIME = timedelta(days=1)
_NEXT = {
    "uploading": "Send the bytes: `openfactory image upload FILE`, or any tus 1.0.0 client with upload_url.",
    "checking": "It is being checked; call get_image again in a few seconds.",
    "ready": "Call create_vm with image_id.",
    "rejected": "Read problems, then call create_image_upload again.",
    "deleted": "It is gone. Call create_image_upload for a new one.",
}


async def create_image_upload(
    factory: Factory, caller: Caller, announced: dict[str, object], *, request_key: str | None = None
) -> ImageView:
    """Announce an upload and answer where its bytes go; the same request key gives the same image, `replayed`.

    `announced` has name, format, bytes and sha256.

    Raises:
        Verdict: what is wrong with them (`image.invalid`), or `request_key.reused`.

    """
    require(caller, _TOOL)
    image_id = factory.new_id() if request_key is None else derived_id(caller.org_id, _TOOL, request_key)
    identity = {
        "image_id": image_id,
        "org_id": caller.org_id,
        "requested_by": caller.subject,
        "account": caller.plan,
    }
    with problems_of("image.invalid"):
        request = ImageRequest.model_validate({**announced, **identity})
    known = None if request_key is None else await factory.images.image_known(image_id, caller.org_id)
    if known is not None and known != request.input_digest:
        raise Verdict.because(
            "request_key.reused",
            "This request_key was used before for another image.",
            path="request_key",
            next=f"Use a new request_key; the old one is image_id {image_id}.",
        )
    await factory.images.start_image(request)
    state = None
    with suppress(Fault):  # it was accepted; that it cannot be seen now does not change that
        await factory.reads.wait_for(caller.org_id, "images", image_id, 1, _VISIBLE_SECONDS)
        state = await _state(factory, caller, image_id)
    view = _accepted(factory, request) if state is None else await _view(factory, state)
    return view.model_copy(update={"replayed": known is not None})


async def get_image(factory: Factory, caller: Caller, image_id: str) -> ImageView:
    """Return one image; while it is uploaded, with its link and how much has come.

    Raises:
        Verdict: `image.not_found`.

    """
    require(caller, "get_image")
    return await _view(factory, await ready_state(factory, caller, image_id))


async def list_images(
    factory: Factory,
    caller: Caller,
    *,
    limit: int = 20,
    cursor: str | None = None,
    status: ImageStatus | None = None,
) -> ImagePage:
    """List the organization's uploaded images, newest first.

    Raises:
        Verdict: `cursor.invalid`.

    """
    require(caller, "list_images")
    async with factory.reads.org(caller.org_id) as reads:
        page = await reads.images.page(limit=min(limit, MOST_IMAGES), cursor=cursor, status=status)
    return ImagePage(images=tuple(_row(state) for state in page.images), next_cursor=page.next_cursor)


async def delete_image(factory: Factory, caller: Caller, image_id: str) -> ImageView:
    """Forget an image; machines made of it go on. Harmless to repeat.

    Raises:
        Verdict: `image.not_found`.

    """
    require(caller, "delete_image")
    state = await ready_state(factory, caller, image_id)
    if state.status == "deleted":
        return _shown(state).model_copy(update={"replayed": True})
    await factory.images.delete_image(image_id, caller.subject)
    with suppress(Fault):
        await factory.reads.wait_for(caller.org_id, "images", image_id, state.version + 1, _VISIBLE_SECONDS)
        state = await _state(factory, caller, image_id) or state
    return _shown(state)


async def ready_state(factory: Factory, caller: Caller, image_id: str) -> ImageState:
    """Find an image of the caller's organization.

    Raises:
        Verdict: `image.not_found`; absent and another organization's look the same.

    """
    state = await _state(factory, caller, image_id) if is_build_id(image_id) else None
    if state is None:
        raise Verdict.because(
            "image.not_found",
            "There is no uploaded image with this id.",
            path="image_id",
            value=image_id[:64],
            next="Call list_images to see the images of your organization.",
        )
    return state


async def _state(factory: Factory, caller: Caller, image_id: str) -> ImageState | None:
    async with factory.reads.org(caller.org_id) as reads:
        return await reads.images.get(image_id)


def _accepted(factory: Factory, request: ImageRequest) -> ImageView:
    return ImageView(
        image_id=request.image_id,
        name=request.name,
        format=request.format,
        status="uploading",
        version=0,
        bytes=request.bytes,
        sha256=request.sha256,
        upload_url=_link(factory, request.image_id, request.org_id, request.bytes),
        visible=False,
        next=_NEXT["uploading"],
    )


async def _view(factory: Factory, state: ImageState) -> ImageView:
    view = _shown(state)
    if state.status != "uploading":
        return view
    link = _link(factory, state.image_id, state.org_id, state.bytes)
    return view.model_copy(update={"upload_url": link, "received": await received_bytes(factory, state.image_id)})


def _row(state: ImageState) -> ImageView:
    """Make a list's line: what is wrong in a few words, and nothing that the list's other lines say too."""
    view = _shown(state)
    problems = tuple(
        Problem(code=p.code, message=clean_untrusted(p.message, ROW_CHARACTERS)) for p in view.problems[:1]
    )
    return view.model_copy(update={"problems": problems, "next": None})


def _shown(state: ImageState) -> ImageView:
    return ImageView(
        image_id=state.image_id,
        name=state.name,
        format=state.format,
        status=state.status,
        version=state.version,
        bytes=state.bytes,
        sha256=state.sha256,
        virtual_bytes=state.virtual_bytes,
        created_at=state.requested_at,
        upload_until=state.upload_until if state.status == "uploading" else None,
        problems=that_fit([clipped(problem) for problem in state.problems], VIEW_BYTES // 3),
        next=_NEXT[state.status],
    )


def _link(factory: Factory, image_id: str, org_id: str, size: int) -> str:
    grant = UploadGrant(image_id=image_id, org_id=org_id, bytes=size)
    token = factory.uploads.sign(grant, expires_at=factory.now() + _LINK_LIFETIME)
    return f"{factory.public_url}/upload/{token}"
