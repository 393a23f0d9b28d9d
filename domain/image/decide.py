"""What a command makes happen to an uploaded image, given what already happened."""

from datetime import datetime, timedelta

from domain.errors import Verdict
from domain.image import commands as c
from domain.image import events as e
from domain.image.state import ImageState

_NOTHING: tuple[e.ImageEvent, ...] = ()
_Later = c.ReceiveImage | c.AcceptImage | c.RejectImage | c.DeleteImage


def decide(state: ImageState | None, command: c.ImageCommand, *, now: datetime) -> tuple[e.ImageEvent, ...]:
    """Return the events that `command` adds to an image; none if they are there already.

    Raises:
        Verdict: `image.not_found`, `request_key.reused` or `image.wrong_state`.

    """
    if isinstance(command, c.RequestImage):
        return _request(state, command, now)
    if state is None:
        raise Verdict.because("image.not_found", "there is no such image", next="list_images")
    if state.status == "deleted" or (state.status == "rejected" and not isinstance(command, c.DeleteImage)):
        return _NOTHING
    return _after(state, command, now)


def _after(state: ImageState, command: _Later, now: datetime) -> tuple[e.ImageEvent, ...]:
    image_id, org_id = state.image_id, state.org_id
    match command:
        case c.ReceiveImage() if state.status == "uploading":
            return (e.ImageReceived(image_id=image_id, org_id=org_id, at=now),)
        case c.AcceptImage() if state.status != "ready":
            return (e.ImageAccepted(image_id=image_id, org_id=org_id, at=now, virtual_bytes=command.virtual_bytes),)
        case c.RejectImage() if state.status != "ready":
            return (e.ImageRejected(image_id=image_id, org_id=org_id, at=now, problems=command.problems),)
        case c.RejectImage():
            raise Verdict.because("image.wrong_state", "an image that was accepted cannot be rejected")
        case c.DeleteImage():
            return (e.ImageDeleted(image_id=image_id, org_id=org_id, at=now, requested_by=command.requested_by),)
        case _:
            return _NOTHING


def _request(state: ImageState | None, command: c.RequestImage, now: datetime) -> tuple[e.ImageEvent, ...]:
    request = command.request
    if state is None:
        until = now + timedelta(seconds=command.upload_seconds)
        return (
            e.ImageRequested(
                image_id=request.image_id, org_id=request.org_id, at=now, request=request, upload_until=until
            ),
        )
    if state.org_id != request.org_id or state.input_digest != request.input_digest:
        message = "this image id belongs to another request"
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")
    return _NOTHING
