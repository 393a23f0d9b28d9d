"""What an image's workflow may tell the log."""

from typing import Literal

from domain.errors import Problem
from domain.image.inputs import ImageRequest
from domain.model import Value


class RequestImage(Value):
    """The first fact of an image. `upload_seconds` is how long its bytes are awaited."""

    kind: Literal["request"] = "request"
    request: ImageRequest
    upload_seconds: float


class ReceiveImage(Value):
    """All bytes are there."""

    kind: Literal["receive"] = "receive"


class AcceptImage(Value):
    """The image can be booted."""

    kind: Literal["accept"] = "accept"
    virtual_bytes: int


class RejectImage(Value):
    """The upload cannot be used."""

    kind: Literal["reject"] = "reject"
    problems: tuple[Problem, ...]


class DeleteImage(Value):
    """Forget the image."""

    kind: Literal["delete"] = "delete"
    requested_by: str


ImageCommand = RequestImage | ReceiveImage | AcceptImage | RejectImage | DeleteImage
