"""The facts of an uploaded image."""

from datetime import datetime

from domain.errors import Problem
from domain.event import Event
from domain.image.inputs import ImageRequest


class ImageEvent(Event):
    """A fact about one uploaded image."""

    image_id: str


class ImageRequested(ImageEvent):
    """Someone announced an upload, with its digest; its bytes are awaited until `upload_until`."""

    NAME = "image.requested.v1"
    request: ImageRequest
    upload_until: datetime


class ImageReceived(ImageEvent):
    """All bytes are there; they are being checked."""

    NAME = "image.received.v1"


class ImageAccepted(ImageEvent):
    """The bytes have the announced digest and are an image that can be booted.

    `virtual_bytes` is the size of the disk as a guest sees it.
    """

    NAME = "image.accepted.v1"
    virtual_bytes: int


class ImageRejected(ImageEvent):
    """The upload is no image that can be used; its bytes are gone."""

    NAME = "image.rejected.v1"
    problems: tuple[Problem, ...]


class ImageDeleted(ImageEvent):
    """Nobody can make a machine of it any more."""

    NAME = "image.deleted.v1"
    requested_by: str


IMAGE_EVENTS: dict[str, type[ImageEvent]] = {
    cls.NAME: cls for cls in (ImageRequested, ImageReceived, ImageAccepted, ImageRejected, ImageDeleted)
}
