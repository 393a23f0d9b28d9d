"""Text that came from a guest, a log or a screen, made safe to show and to quote."""

import re
import unicodedata

# Escape sequences of ECMA-48: OSC, DCS, SOS, PM and APC up to their terminator (or the end of the text), CSI, then the short ones.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_KEPT = {"\n", "\t"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (bidi, zero-width, tags), surrogate, unassigned
_FILLERS = {"\u034f", "\u115f", "\u1160", "\u3164", "\uffa0"}  # letters and marks that are drawn as nothing
_MARK = "…"


def clean_untrusted(text: str, limit: int) -> str:
    """Strip what could steer a terminal, hide text or change its direction, and cap the length.

    Removed are ANSI and OSC sequences, control characters but newline and tab, bidirectional and
    zero-width characters, and variation selectors. A carriage return becomes a newline. At most
    `limit` characters come back, the last one `…` if something was cut.
    """
    if limit < 1:
        return ""
    # Escapes must go before the cut, and hostile input may be long: look at no more than could matter.
    head = text[: limit * 16]
    plain = _ESCAPES.sub("", head).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in plain if c in _KEPT or not _is_hidden(c))
    if len(kept) > limit or len(head) < len(text):
        return kept[: limit - 1] + _MARK
    return kept


def _is_hidden(character: str) -> bool:
    if character in _FILLERS or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return True
    return unicodedata.category(character) in _HIDDEN
