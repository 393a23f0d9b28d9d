"""Puts checks to a guest until each is right or out of time, and tells a log how it goes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from activities.step_log import StepLog
from activities.verification.check import Answer, Check, Finding
from activities.verification.driver import ask
from activities.verification.ports import Guest
from domain.text import clean_untrusted
from domain.verification import AssertionResult

SETTLE_SECONDS = {"kvm": 30.0, "tcg": 60.0}
_PAUSE_SECONDS = 1.0
_LONGEST_TEXT = 2000


@dataclass(frozen=True)
class CheckRunner:
    """Asks guests.

    `clock` answers seconds that only grow; `pause` waits so many seconds between two tries of a claim
    that may still become true. A claim is tried again from here and not inside the guest, because the
    judgement is ours; only what is still wrong is asked again.
    """

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(
        self, guest: Guest, checks: Sequence[Check], progress: "Progress", *, settle: float
    ) -> list[AssertionResult]:
        """Ask all; ask again what may still become right until its deadline or `settle` seconds have passed.

        Raises:
            Verdict: `guest.unusable`, or what `Guest.run` raises.
            Fault: what `Guest.run` raises.

        """
        began = self.clock()
        results: dict[int, AssertionResult] = {}
        waiting = [(i, check, began + _patience(check, settle)) for i, check in enumerate(checks)]
        while waiting:
            answers = await ask(guest, [check.probe for _, check, _ in waiting])
            now = self.clock()
            again: list[tuple[int, Check, float]] = []
            for (index, check, deadline), answer in zip(waiting, answers, strict=True):
                finding = check.judge(answer)
                if finding.passed or now >= deadline:
                    results[index] = result_of(check, answer, finding)
                    progress.done(results[index])
                else:
                    again.append((index, check, deadline))
            waiting = again
            if waiting:
                await self.pause(_PAUSE_SECONDS)
        return [results[index] for index in range(len(checks))]


def _patience(check: Check, settle: float) -> float:
    if check.within is not None:
        return check.within
    return settle if check.settles else 0.0


def result_of(check: Check, answer: Answer, finding: Finding) -> AssertionResult:
    """Write down what was found."""
    return AssertionResult(
        suite=check.suite,
        description=check.description,
        type=check.type,
        params=check.params,
        negated=check.negated,
        passed=finding.passed,
        expected=check.expected,
        found=clean_untrusted(finding.found, _LONGEST_TEXT),
        command=check.probe.command,
        seconds=answer.seconds,
    )


class Progress:
    """Tells the log how the checks of one machine go; `name` is what the machine is called there."""

    def __init__(self, log: StepLog, name: str) -> None:
        self._log = log
        self._name = name
        self._done = 0
        self._expected = 1

    def expect(self, count: int) -> None:
        """Say how many checks there are."""
        self._expected = count

    def done(self, result: AssertionResult) -> None:
        """Tell one result."""
        self._done += 1
        if result.passed:
            self._log.line(f"{self._name}: ok    {result.suite}: {result.description} ({_first(result.found)})")
        else:
            said = f"expected {result.expected}, found {result.found}"
            self._log.line(f"{self._name}: WRONG {result.suite}: {result.description}: {said}")
        if self._expected > 1:
            percent = 100 * self._done / self._expected
            self._log.progress(percent, f"{self._name}: {result.suite}: {result.description}")


def _first(text: str) -> str:
    return text.splitlines()[0] if text else ""
