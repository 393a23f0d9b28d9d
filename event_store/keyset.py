"""What the read models' lists have in common: cursors of keyset pages, and documents that PostgreSQL can hold."""

import base64
import json
import re
from datetime import datetime

from domain.errors import Verdict

_LONGEST_CURSOR = 256
# jsonb and text hold no NUL; a guest's output may. An escaped backslash before the `u` is no escape of NUL.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable(document: str) -> str:
    """Make JSON text fit for jsonb: NUL becomes the replacement character."""
    return _NUL.sub(r"\1\\ufffd", document) if "\\u0000" in document else document


def beyond(beginning: str) -> str:
    """Return a text behind all that begin like this one, in the order of their bytes (`COLLATE "C"`)."""
    return f"{beginning}\U0010ffff"


def encode_cursor(at: datetime, key: str) -> str:
    """Make the cursor that continues behind the row of this time and key."""
    text = json.dumps([at.isoformat(), key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Read a cursor.

    Raises:
        Verdict: `cursor.invalid`.

    """
    try:
        padded = cursor[:_LONGEST_CURSOR] + "=" * (-len(cursor) % 4)
        at, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        created_at = datetime.fromisoformat(at)
        if created_at.tzinfo is not None and isinstance(key, str) and "\0" not in key:
            return created_at, key
    except (ValueError, TypeError):
        pass
    raise Verdict.because(
        "cursor.invalid",
        "the cursor was not made by this list",
        path="cursor",
        value=cursor[:64],
        next="Leave the cursor out to begin at the newest, or pass a next_cursor unchanged.",
    )
