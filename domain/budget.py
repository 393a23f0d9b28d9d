"""How much of a conversation an answer may take, for all answers in one place.

Counted in bytes of UTF-8, which is quick and sure enough: two bytes a token is what identifiers, digests and languages
with accents cost; plain words cost half of that. So an answer (its data and its text) stays below 6,000 tokens, and one
that was asked to be long below 12,000. A test counts with the tables of real models.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from pydantic import BaseModel

REPLY_BYTES: Final = 12_000
LONG_REPLY_BYTES: Final = 24_000
# What an answer's data may take of that; the text, which says less, gets the rest.
VIEW_BYTES: Final = 7_000
LONG_VIEW_BYTES: Final = 14_000
ROW_CHARACTERS: Final = 120  # of one text in the line of a list
_T = TypeVar("_T", bound=BaseModel)


def size_of(view: BaseModel) -> int:
    """Return the bytes of the JSON that a client gets."""
    return len(view.model_dump_json(by_alias=True, exclude_none=True).encode())


def that_fit(values: Sequence[_T], most_bytes: int) -> tuple[_T, ...]:
    """Keep the first values that fit together, and the very first in any case."""
    left = most_bytes
    kept: list[_T] = []
    for value in values:
        left -= size_of(value)
        if left < 0 and kept:
            break
        kept.append(value)
    return tuple(kept)


def clip_bytes(text: str, most_bytes: int) -> str:
    """Keep the beginning of a text, in whole characters."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= most_bytes else encoded[:most_bytes].decode(errors="ignore")
