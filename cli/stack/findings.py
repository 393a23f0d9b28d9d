"""What doctor says about one thing of this machine."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from domain.model import Value

Level = Literal["ok", "note", "bad"]


class Finding(Value):
    """One thing that was looked at. Only `bad` stands in the way; `next` says what to do."""

    name: str
    level: Level
    message: str
    next: str | None = None
    fixed: bool = False


@dataclass(frozen=True)
class Check:
    """How to look at a thing, and how to mend it where that can be done without asking."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    fix: Callable[[], Awaitable[None]] | None = None


def ok(name: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(name=name, level="ok", message=message)


def note(name: str, message: str, next_step: str | None = None) -> Finding:
    """Works, but worth knowing."""
    return Finding(name=name, level="note", message=message, next=next_step)


def bad(name: str, message: str, next_step: str) -> Finding:
    """Stands in the way."""
    return Finding(name=name, level="bad", message=message, next=next_step)
