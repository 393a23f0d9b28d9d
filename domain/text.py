"""Texts that came from elsewhere (a guest, a package, a log), made safe to show."""

import re
from typing import Final

# ECMA-48: CSI sequences, OSC/DCS/SOS/PM/APC strings up to their end, and the two-byte rest.
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 and C1 but tab and line feed, the bidirectional controls (UAX #9), and surrogates, which UTF-8 cannot hold.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean_untrusted(text: str) -> str:
    """Return `text` without escape sequences, control characters and invisible changes of direction.

    Tabs and line feeds stay. What is left cannot move a cursor, set a title or reorder what is read.
    """
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))
