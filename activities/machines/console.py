"""What a guest writes on its serial port: cleaned into lines, read for milestones and for the reasons of a failure.

Everything in here came from the guest and is untrusted.
"""

import codecs
import re
from collections import deque

from domain.model import Value

_SCREEN_LINES = 50
_LONGEST_LINE = 1000
# Escape sequences of ECMA-48: CSI, OSC and the other strings, then two-character ones.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# Control characters, and what turns or hides text: bidirectional overrides, zero-width characters, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
# A console redraws a place by going there: what follows is a new line to a reader.
_CURSOR = re.compile(r"\x1b\[(?:\d+;\d+|)[Hf]|\x1b\[\d*[ABEF]")


class Milestone(Value):
    """A point that every boot passes. `percent` is of the whole boot."""

    percent: float
    text: str


_MILESTONES: tuple[tuple[re.Pattern[str], Milestone], ...] = (
    (re.compile(r"SeaBIOS|BdsDxe|UEFI|iPXE"), Milestone(percent=5, text="firmware")),
    (re.compile(r"GRUB|Booting `|Loading Linux"), Milestone(percent=15, text="boot loader")),
    (re.compile(r"Linux version |Decompressing Linux|EFI stub:"), Milestone(percent=25, text="kernel")),
    (re.compile(r"Loading, please wait|Begin: |Run /init|dracut"), Milestone(percent=40, text="initramfs")),
    (re.compile(r"systemd\[1\]: |Welcome to (?!GRUB)"), Milestone(percent=55, text="system start")),
    (re.compile(r"Reached target .*[Bb]asic|basic\.target"), Milestone(percent=70, text="basic system")),
    (re.compile(r"Reached target .*[Mm]ulti-[Uu]ser|multi-user\.target"), Milestone(percent=85, text="multi-user")),
)

_FAILURES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Kernel panic - not syncing: ?(?P<what>.*)"), "the kernel panicked: {what}"),
    (re.compile(r"No bootable device"), "the firmware found no bootable device"),
    (re.compile(r"BdsDxe: No bootable option"), "the firmware found no bootable device"),
    (re.compile(r"error: you need to load the kernel first"), "GRUB could not load the kernel: {error}"),
    (re.compile(r"ALERT! +(?P<what>.*)"), "the initramfs gave up: {what}"),
    (re.compile(r"Unable to find a medium containing a live file system"), "the initramfs found no live file system"),
    (re.compile(r"You are in (?:emergency|rescue) mode"), "the system went into emergency mode"),
    (re.compile(r"Cannot open access to console, the root account is locked"), "the system went into emergency mode"),
)
# A kernel counts timer interrupts early in its start and watches itself later. On an emulator that gets no
# processor time it finds too few, or finds that nothing moved for many seconds.
_STARVED = re.compile(
    r"IO-APIC \+ timer doesn't work|BUG: soft lockup|rcu: INFO: \w+ (?:self-)?detected|"
    r"clocksource: .*[Mm]arking .*unstable"
)
_GRUB_ERROR = re.compile(r"^\W*error: (?!you need to load the kernel first)(?P<what>.*)")
# A prompt has no end of line, so these are looked for before there is one.
_PROMPTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^grub rescue>"), "GRUB stopped at its rescue prompt: {error}"),
    (re.compile(r"^grub> *$"), "GRUB stopped at its prompt and started nothing: {error}"),
    (re.compile(r"^\(initramfs\)"), "the initramfs stopped at its emergency shell"),
    (re.compile(r"Give root password for maintenance"), "the system went into emergency mode"),
    (re.compile(r"^dracut(?:-\w+)?:/#"), "dracut stopped at its emergency shell"),
)
_KERNEL_START = re.compile(r"Linux version \d")
_MOST_STARTS = 3


def clean(text: str) -> str:
    """Make text of a guest fit to print: no escape sequences, no control or invisible characters, capped."""
    return _INVISIBLE.sub("", _ESCAPES.sub("", text)).rstrip()[:_LONGEST_LINE]


class Console:
    """Follows one serial port from its first byte. Keeps the last screenful and what was understood.

    `failure` is why this boot cannot succeed any more; `starved` says that the guest got no time: if
    it is emulated, the host is to blame.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._screen: deque[str] = deque(maxlen=_SCREEN_LINES)
        self._grub_error = "it said nothing"
        self._starts = 0
        self.milestone = Milestone(percent=0, text="power on")
        self.failure: str | None = None
        self.starved = False

    def feed(self, data: bytes) -> list[str]:
        """Take what came and answer the lines that it completed, cleaned, without empty ones."""
        text = self._rest + self._decoder.decode(data)
        text = _CURSOR.sub("\n", text)
        *raw, self._rest = text.replace("\r", "\n").split("\n")
        if len(self._rest) > _LONGEST_LINE:
            raw.append(self._rest)
            self._rest = ""
        lines = [line for line in map(clean, raw) if line]
        for line in lines:
            self._screen.append(line)
            self._count_starts(line)
            self._understand(line)
        self._find(_PROMPTS, clean(self._rest))
        return lines

    @property
    def screen(self) -> str:
        """The last screenful of text."""
        return "\n".join([*self._screen, clean(self._rest)]).strip()

    @property
    def last_line(self) -> str:
        """The last thing it said."""
        return clean(self._rest) or (self._screen[-1] if self._screen else "")

    def _count_starts(self, line: str) -> None:
        if not _KERNEL_START.search(line):
            return
        self._starts += 1
        if self._starts > _MOST_STARTS and self.failure is None:
            self.failure = f"the system has started {self._starts} times and restarts again and again"

    def _understand(self, line: str) -> None:
        error = _GRUB_ERROR.search(line)
        if error is not None:
            self._grub_error = error["what"]
        self.starved = self.starved or _STARVED.search(line) is not None
        for pattern, milestone in _MILESTONES:
            if milestone.percent > self.milestone.percent and pattern.search(line):
                self.milestone = milestone
        self._find((*_FAILURES, *_PROMPTS), line)

    def _find(self, reasons: tuple[tuple[re.Pattern[str], str], ...], line: str) -> None:
        for pattern, text in reasons:
            match = pattern.search(line)
            if match is not None and self.failure is None:
                self.failure = text.format(what=match.groupdict().get("what", ""), error=self._grub_error)
