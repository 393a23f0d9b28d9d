"""What the import of an uploaded image takes and gives. Frozen values only: workflows import this module."""

from domain.image.inputs import ImageRequest
from domain.model import Value


class ImportInput(Value):
    """An upload whose bytes are all in the object store, in parts."""

    request: ImageRequest


class ImportResult(Value):
    """The image is at `blobs/<sha256>` and can be booted. `virtual_bytes` is its disk's size for a guest."""

    virtual_bytes: int


class DiscardInput(Value):
    """An upload whose parts nobody needs any more."""

    image_id: str


class DiscardResult(Value):
    """How many parts were removed."""

    parts: int
