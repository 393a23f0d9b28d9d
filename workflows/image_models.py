"""What an image's workflow is started with and what it leaves."""

from typing import Literal

from domain.image.inputs import ImageRequest
from domain.model import Value


class ImageInput(Value):
    """An upload to wait for, and then an image to keep."""

    request: ImageRequest


class DeleteImageCommand(Value):
    """Forget the image."""

    requested_by: str = "signal"


class ForgetInput(Value):
    """Forget an image whose upload is long over."""

    image_id: str
    command: DeleteImageCommand


class ImageOutcome(Value):
    """How it ended."""

    image_id: str
    status: Literal["ready", "rejected", "deleted"]
