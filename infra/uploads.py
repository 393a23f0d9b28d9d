"""Where the parts of an upload are in the object store: the gateway writes them, a host reads them.

The name of a part is the offset of its first byte, so key order is the order of the bytes, and a part that
is written again replaces itself.
"""


def parts_prefix(image_id: str) -> str:
    """All parts of an upload have keys that begin so."""
    return f"uploads/{image_id}/"


def part_key(image_id: str, offset: int) -> str:
    """The key of the part that begins at byte `offset`."""
    return f"{parts_prefix(image_id)}{offset:020d}"
