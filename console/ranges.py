"""Byte ranges and entity tags of downloads (RFC 9110, sections 13 and 14)."""

import re
from typing import Literal, NamedTuple

_SPEC = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class ByteRange(NamedTuple):
    """`length` bytes from `offset`."""

    offset: int
    length: int


def requested_range(header: str | None, size: int) -> ByteRange | Literal["unsatisfiable"] | None:
    """Read a Range header for a body of `size` bytes.

    Nothing is returned for a header that is absent, malformed or asks for several ranges: the whole
    body answers those, as section 14.2 allows.
    """
    match = _SPEC.fullmatch(header.replace(" ", "")) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size)
    offset = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < offset:
        return None
    return ByteRange(offset, end - offset + 1) if offset < size else "unsatisfiable"


def _suffix(last: str, size: int) -> ByteRange | Literal["unsatisfiable"] | None:
    if not last:
        return None
    length = min(int(last), size)
    return ByteRange(size - length, length) if length else "unsatisfiable"


def tag_matches(header: str | None, tag: str) -> bool:
    """Tell whether an If-None-Match header names the entity tag, by weak comparison (section 8.8.3.2)."""
    if header is None:
        return False
    return header.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in header.split(",")}


def range_still_valid(if_range: str | None, tag: str) -> bool:
    """Tell whether a Range may be answered: If-Range is absent or names this very tag (strong comparison).

    A date never matches, because no Last-Modified is sent.
    """
    return if_range is None or if_range.strip() == tag
