"""What an uploaded image is after its events. Folding never fails."""

from datetime import datetime
from typing import Literal

from domain.errors import Problem
from domain.image import events as e
from domain.image.inputs import ImageFormat
from domain.model import Value

ImageStatus = Literal["uploading", "checking", "ready", "rejected", "deleted"]


class ImageState(Value):
    """One uploaded image. `version` is the number of its events; sizes in bytes."""

    image_id: str
    org_id: str
    version: int
    status: ImageStatus
    requested_by: str
    account: str = "operator"
    requested_at: datetime
    updated_at: datetime
    upload_until: datetime
    name: str
    format: ImageFormat
    bytes: int
    sha256: str
    input_digest: str
    virtual_bytes: int | None = None
    problems: tuple[Problem, ...] = ()


def evolve(state: ImageState | None, event: e.ImageEvent) -> ImageState:
    """Return the state after `event`; a fact that does not fit is only counted.

    Raises:
        ValueError: the stream does not begin with `image.requested.v1`.

    """
    if isinstance(event, e.ImageRequested):
        return _requested(event, 1 if state is None else state.version + 1)
    if state is None:
        raise ValueError(f"{event.NAME} before image.requested.v1 in {event.image_id}")
    update: dict[str, object] = {"version": state.version + 1, "updated_at": event.at}
    match event:
        case e.ImageReceived():
            update["status"] = "checking"
        case e.ImageAccepted():
            update |= {"status": "ready", "virtual_bytes": event.virtual_bytes}
        case e.ImageRejected():
            update |= {"status": "rejected", "problems": event.problems}
        case e.ImageDeleted():
            update["status"] = "deleted"
        case _:
            pass
    return state.model_copy(update=update)


def fold(history: tuple[e.ImageEvent, ...]) -> ImageState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: ImageState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _requested(event: e.ImageRequested, version: int) -> ImageState:
    request = event.request
    return ImageState(
        image_id=event.image_id,
        org_id=event.org_id,
        version=version,
        status="uploading",
        requested_by=request.requested_by,
        account=request.account,
        requested_at=event.at,
        updated_at=event.at,
        upload_until=event.upload_until,
        name=request.name,
        format=request.format,
        bytes=request.bytes,
        sha256=request.sha256,
        input_digest=request.input_digest,
    )
