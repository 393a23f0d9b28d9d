"""What the tools answer about uploaded images."""

from datetime import datetime

from domain.errors import Problem
from domain.image.inputs import ImageFormat
from domain.image.state import ImageStatus
from domain.model import Value


class ImageView(Value):
    """One uploaded image; sizes in bytes. `received` is how many bytes have come so far.

    `upload_url` takes the bytes (tus 1.0.0: HEAD tells the offset, PATCH continues there) without a key.
    """

    image_id: str
    name: str
    format: ImageFormat
    status: ImageStatus
    version: int
    bytes: int
    sha256: str
    received: int | None = None
    virtual_bytes: int | None = None
    created_at: datetime | None = None
    upload_url: str | None = None
    upload_until: datetime | None = None
    problems: tuple[Problem, ...] = ()
    visible: bool = True
    replayed: bool = False
    next: str | None = None


class ImagePage(Value):
    """Some images, newest first, and the cursor of the next page."""

    images: tuple[ImageView, ...]
    next_cursor: str | None = None
