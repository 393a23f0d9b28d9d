"""What an upload announces."""

from typing import Annotated, Literal

from pydantic import Field

from domain.canonical import digest
from domain.model import Value

LARGEST_UPLOAD = 64 << 30
"""In bytes."""

ImageFormat = Literal["qcow2", "iso"]
ImageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ImageRequest(Value):
    """One upload: its size in bytes and its SHA-256 are known before the first byte.

    `account` names the organization's plan.
    """

    image_id: str
    org_id: str
    requested_by: str
    account: str = "operator"
    name: ImageName
    format: ImageFormat
    bytes: Annotated[int, Field(ge=1, le=LARGEST_UPLOAD)]
    sha256: Sha256

    @property
    def input_digest(self) -> str:
        """What the request asks for, without who and when."""
        return digest({"name": self.name, "format": self.format, "bytes": self.bytes, "sha256": self.sha256})
