"""Text that came from a guest, a log or a screen, made safe to show and to quote."""

import re
import unicodedata

# ECMA-48: OSC, DCS, SOS, PM and APC up to their end or the end of the line, CSI sequences, and the short ones.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_KEPT = {"\n", "\t"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (bidi, zero-width, tags), surrogate, unassigned
_FILLERS = {"\u034f", "\u115f", "\u1160", "\u3164", "\uffa0"}  # letters and marks that are drawn as nothing
_MARK = "…"
_MARKUP = frozenset("\\`*_[]<>|#")
_LOOKAHEAD = 16


def clean_untrusted(text: str, limit: int | None = None) -> str:
    """Strip what could steer a terminal, hide text or change its direction, and cap the length.

    Removed are ANSI and OSC sequences, control characters but newline and tab, bidirectional and
    zero-width characters, and variation selectors. A carriage return becomes a newline. With a
    `limit` at most so many characters come back, the last one `…` if something was cut.
    """
    if limit is None:
        return _clean(text)
    if limit < 1:
        return ""
    # Hostile input may be long: look at no more of it than could matter.
    head = text[: limit * _LOOKAHEAD]
    kept = _clean(head)
    return kept if len(kept) <= limit and len(head) == len(text) else kept[: limit - 1] + _MARK


def in_markdown(text: str, limit: int) -> str:
    """Make one line of a text, at most `limit` characters of it, that changes nothing of a page in markdown."""
    line = " ".join(clean_untrusted(text, limit).split())
    return "".join(f"\\{c}" if c in _MARKUP else c for c in line)


def _clean(text: str) -> str:
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in plain if c in _KEPT or not _is_hidden(c))


def _is_hidden(character: str) -> bool:
    if character in _FILLERS or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return True
    return unicodedata.category(character) in _HIDDEN
