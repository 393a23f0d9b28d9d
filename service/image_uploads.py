"""The bytes of an upload: taken in parts, kept across restarts, continued where they broke off."""

from collections.abc import AsyncIterator

from domain.errors import Verdict
from domain.model import Value
from infra.uploads import UploadGrant, part_key, parts_prefix, received
from service.factory import Factory

_PART_BYTES = 8 << 20  # one part is in memory for each upload that goes on
_PAGE = 1000


class UploadState(Value):
    """How far an upload is; bytes."""

    offset: int
    length: int


async def upload_state(factory: Factory, token: str) -> UploadState:
    """Tell how far the upload behind a link is; one that is whole is told to its workflow again.

    Raises:
        Verdict: `link.invalid` or `link.expired`.

    """
    grant = factory.uploads.verify(token, now=factory.now())
    offset = await received_bytes(factory, grant.image_id)
    if offset == grant.bytes:
        await factory.images.image_received(grant.image_id)
    return UploadState(offset=offset, length=grant.bytes)


async def take_bytes(factory: Factory, token: str, offset: int, chunks: AsyncIterator[bytes]) -> UploadState:
    """Store what comes, beginning at `offset`; what was stored before a break stays.

    Raises:
        Verdict: `upload.wrong_offset` (another part is expected), `upload.too_long`, `link.…`.

    """
    grant = factory.uploads.verify(token, now=factory.now())
    there = await received_bytes(factory, grant.image_id)
    if there != offset:
        raise Verdict.because(
            "upload.wrong_offset",
            f"The upload goes on at byte {there}, not at {offset}.",
            path="Upload-Offset",
            next="Ask with HEAD where to go on.",
        )
    end = await _store(factory, grant, offset, chunks)
    if end == grant.bytes:
        await factory.images.image_received(grant.image_id)
    return UploadState(offset=end, length=grant.bytes)


async def received_bytes(factory: Factory, image_id: str) -> int:
    """Tell how many bytes of an upload are stored without a gap."""
    found: list[tuple[str, int]] = []
    while True:
        page = await factory.objects.list(parts_prefix(image_id), after=found[-1][0] if found else "", limit=_PAGE)
        found += [(part.key, part.bytes) for part in page]
        if len(page) < _PAGE:
            return received(found)


async def _store(factory: Factory, grant: UploadGrant, offset: int, chunks: AsyncIterator[bytes]) -> int:
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if offset + len(waiting) > grant.bytes:
            raise Verdict.because(
                "upload.too_long",
                f"More than the announced {grant.bytes} bytes came.",
                next="Announce the right size with create_image_upload.",
            )
        if len(waiting) >= _PART_BYTES:
            offset = await _put(factory, grant, offset, waiting)
    return await _put(factory, grant, offset, waiting) if waiting else offset


async def _put(factory: Factory, grant: UploadGrant, offset: int, waiting: bytearray) -> int:
    data = bytes(waiting)
    waiting.clear()
    await factory.objects.put(part_key(grant.image_id, offset), data)
    return offset + len(data)
