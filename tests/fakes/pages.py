"""Cursors of lists in memory: how many were shown."""

from domain.errors import Verdict


def place_of(cursor: str | None) -> int:
    """Read a cursor as the real lists do: one that is none is refused in words."""
    if not cursor:
        return 0
    if cursor.isascii() and cursor.isdecimal() and len(cursor) < 18:
        return int(cursor)
    raise Verdict.because(
        "cursor.invalid", "the cursor was not made by this list", path="cursor", next="Leave the cursor out."
    )
