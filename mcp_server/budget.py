"""An answer's text, cut to what the answer may cost."""

from collections.abc import Collection
from typing import Final

from domain.budget import LONG_REPLY_BYTES, REPLY_BYTES, clip_bytes
from mcp_server.render_words import FENCE_BEGIN, FENCE_END

# Who gives one of these asks for an answer of a length of their own.
LENGTHS: Final = frozenset({"limit", "tail", "detail"})
_NOTE_BYTES: Final = 200
_LEAST_BYTES: Final = 1_000  # what a text says at any rate


def reply_bytes(given: Collection[str]) -> int:
    """Return how large an answer to a call with these arguments may be."""
    return REPLY_BYTES if LENGTHS.isdisjoint(given) else LONG_REPLY_BYTES


def cut_text(text: str, most_bytes: int) -> str:
    """Cut a text at the end of a line; say that it was cut, and leave no fence open."""
    size = len(text.encode(errors="replace"))
    most = max(most_bytes, _LEAST_BYTES)
    if size <= most:
        return text
    head = clip_bytes(text, most - _NOTE_BYTES)
    kept = head[: head.rfind("\n")] if "\n" in head else head
    if kept.count(FENCE_BEGIN) > kept.count(FENCE_END):
        kept = f"{kept}\n{FENCE_END}"
    cut = len(text) - len(kept)
    return f"{kept}\n… {cut} characters more: they are in the structured answer. A smaller limit makes it shorter."
