"""Uploads: where their parts are in the object store, and links that allow one upload and nothing else.

The name of a part is the offset of its first byte, so key order is the order of the bytes, and a part that
is written again replaces itself.
"""

import json
from datetime import datetime

from domain.errors import Verdict
from domain.model import Value
from infra.sealed import Seal

_PURPOSE = b"openfactory.upload.v1"


class UploadGrant(Value):
    """What an upload link allows: the bytes of one image of one organization."""

    image_id: str
    org_id: str
    bytes: int


class UploadSigner:
    """Signs and verifies upload links with a 256-bit key."""

    def __init__(self, key: bytes) -> None:
        self._seal = Seal(key, _PURPOSE)

    def sign(self, grant: UploadGrant, *, expires_at: datetime) -> str:
        """Make a URL-safe token; times in whole seconds."""
        body = [grant.image_id, grant.org_id, grant.bytes, int(expires_at.timestamp())]
        return self._seal.close(json.dumps(body, separators=(",", ":")).encode())

    def verify(self, token: str, *, now: datetime) -> UploadGrant:
        """Return what the token allows.

        Raises:
            Verdict: `link.invalid` or `link.expired`.

        """
        body = self._seal.open(token)
        if body is None:
            raise Verdict.because(
                "link.invalid",
                "this upload link was not made by this factory, or it was changed",
                next="Copy the whole link, or call create_image_upload again.",
            )
        image_id, org_id, size, expires_at = json.loads(body)
        if now.timestamp() >= expires_at:
            raise Verdict.because(
                "link.expired", "this upload link is no longer valid", next="Call create_image_upload again."
            )
        return UploadGrant(image_id=image_id, org_id=org_id, bytes=size)


def parts_prefix(image_id: str) -> str:
    """All parts of an upload have keys that begin so."""
    return f"uploads/{image_id}/"


def part_key(image_id: str, offset: int) -> str:
    """The key of the part that begins at byte `offset`."""
    return f"{parts_prefix(image_id)}{offset:020d}"


def received(parts: list[tuple[str, int]]) -> int:
    """Tell how many bytes are there without a gap; `parts` are keys with sizes, in key order."""
    end = 0
    for key, size in parts:
        if int(key.rpartition("/")[2]) != end:
            break
        end += size
    return end
