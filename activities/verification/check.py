"""One check: a program to run in the guest, and a pure function that judges what it wrote."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from domain.model import Value

TIMED_OUT = 124  # timeout(1)
NOT_RUNNABLE = frozenset({126, 127})  # as a shell says it of a program that it cannot run or find
_FOUND_LENGTH = 300


class Probe(Value):
    """A program to run as root in the guest. `limit` is in seconds.

    A `plain` one says little and leaves nothing running, so that it needs nobody in the guest to look after it.
    """

    argv: tuple[str, ...]
    limit: int = 20
    shown: str = ""
    plain: bool = False

    @property
    def command(self) -> str:
        """The command for people, ready to be pasted into a shell."""
        return self.shown or shlex.join(self.argv)


class Answer(Value):
    """What a probe wrote; untrusted. `status` is its exit status, 124 if it ran out of time."""

    status: int
    out: str = ""
    err: str = ""
    seconds: float = 0.0

    @property
    def lines(self) -> list[str]:
        """Lines of standard output that are not blank."""
        return [line for line in self.out.splitlines() if line.strip()]

    @property
    def words(self) -> str:
        """What it said, in one short text for people: output, else errors, else its exit status."""
        if self.status == TIMED_OUT:
            return "it did not end in time"
        said = " / ".join((self.out.strip() or self.err.strip()).splitlines())
        return said[:_FOUND_LENGTH] or f"nothing (exit status {self.status})"


class Finding(Value):
    """The judgement on an answer. `found` may quote the guest.

    Without being `answered` neither the claim nor its opposite holds: the question could not be put.
    """

    passed: bool
    found: str
    answered: bool = True


Judge = Callable[[Answer], Finding]


@dataclass(frozen=True)
class Check:
    """One line of a report.

    `settles` says that the claim may become true a little after the start is over (a server that
    still opens its port), so it is asked again until the deadline before it counts as wrong. `within`
    is a deadline of its own, in seconds. `opposite` is the description of the negated claim.
    """

    suite: str
    description: str
    type: str
    expected: str
    probe: Probe
    judge: Judge
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    settles: bool = False
    opposite: str = ""
    negated: bool = False
    within: float | None = None


def holds(found: str) -> Finding:
    """Judge that the claim holds."""
    return Finding(passed=True, found=found)


def fails(found: str) -> Finding:
    """Judge that it does not."""
    return Finding(passed=False, found=found)


def unknown(found: str) -> Finding:
    """Judge that nobody can tell."""
    return Finding(passed=False, found=found, answered=False)


def claimed(check: Check, *, negated: bool, within: float | None) -> Check:
    """Make a check of a recipe's or suite's claim, or of its opposite.

    A program that is not there, or did not end, tells nothing: least of all that the opposite holds. An
    opposite is asked once, unless it has a deadline, because it is often true before anything has started.
    """

    def judge(answer: Answer) -> Finding:
        if answer.status == TIMED_OUT or answer.status in NOT_RUNNABLE:
            return unknown(answer.words)
        finding = check.judge(answer)
        if not negated or not finding.answered:
            return finding
        return Finding(passed=not finding.passed, found=finding.found)

    if not negated:
        return replace(check, judge=judge, within=within)
    return replace(
        check,
        judge=judge,
        within=within,
        settles=False,
        negated=True,
        description=check.opposite,
        expected=f"not: {check.expected}",
    )
