"""Checks the booted machines of a job against the recipe and the default tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from activities.step_log import StepLog
from activities.verification.assertions import checks_of
from activities.verification.check import Answer, Check, Finding
from activities.verification.driver import ask
from activities.verification.models import VerifyInput, VerifyResult
from activities.verification.ports import Guest, Guests
from activities.verification.suites import boot, login, network, packages, services
from domain.recipe.schema import Recipe
from domain.text import clean_untrusted
from domain.verification import AssertionResult, BootReport, VerificationReport

_SETTLE_SECONDS = {"kvm": 30.0, "tcg": 60.0}
_PAUSE_SECONDS = 1.0
_LONGEST_TEXT = 2000


@dataclass(frozen=True)
class GuestVerifier:
    """Runs the tests inside guests (`ports.Verifier`).

    `clock` answers seconds that only grow; `pause` waits so many seconds between two tries of a claim
    that may still become true. A claim is tried again from here and not inside the guest, because the
    judgement is ours; only what is still wrong is asked again.
    """

    guests: Guests
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def verify(self, request: VerifyInput, log: StepLog) -> VerifyResult:
        """Check all machines of the request at the same time; the reports are in its order.

        Nothing in a guest is changed for good, so it can be repeated.

        Raises:
            Verdict: `guest.unusable`, or what the guest's agent raises (`guest.agent_silent`).
            Fault: the hypervisor does not answer.

        """
        recipe = Recipe.model_validate(request.recipe)
        tasks = [asyncio.create_task(self._machine(request.job.job_id, recipe, up, log)) for up in request.boots]
        try:
            return VerifyResult(reports=tuple(await asyncio.gather(*tasks)))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _machine(self, job_id: str, recipe: Recipe, up: BootReport, log: StepLog) -> VerificationReport:
        guest = self.guests.guest(job_id, up.artifact)
        progress = _Progress(log, up.artifact)
        first = boot.started(recipe)
        log.line(f"{up.artifact}: waiting until the start is over")
        # All others come after this one: it waits until the start is over.
        results = await self._run(guest, (first,), progress, settle=0.0)
        rest = _due(recipe, up)
        progress.expect(1 + len(rest))
        results += await self._run(guest, rest, progress, settle=_SETTLE_SECONDS[up.accelerator])
        report = VerificationReport(
            artifact=up.artifact,
            firmware=up.firmware,
            accelerator=up.accelerator,
            boot_seconds=up.seconds,
            results=tuple(results),
        )
        log.line(f"{up.artifact}: {report.passed} of {len(results)} assertions hold")
        return report

    async def _run(
        self, guest: Guest, checks: Sequence[Check], progress: "_Progress", *, settle: float
    ) -> list[AssertionResult]:
        """Ask all; ask again what may still become true until `settle` seconds have passed."""
        deadline = self.clock() + settle
        results: dict[int, AssertionResult] = {}
        waiting = list(enumerate(checks))
        while waiting:
            answers = await ask(guest, [check.probe for _, check in waiting])
            late = self.clock() >= deadline
            again: list[tuple[int, Check]] = []
            for (index, check), answer in zip(waiting, answers, strict=True):
                finding = check.judge(answer)
                if finding.passed or late or not check.settles:
                    results[index] = _result(check, answer, finding)
                    progress.done(results[index])
                else:
                    again.append((index, check))
            waiting = again
            if waiting:
                await self.pause(_PAUSE_SECONDS)
        return [results[index] for index in range(len(checks))]


def _due(recipe: Recipe, up: BootReport) -> tuple[Check, ...]:
    """Everything for the disk image; boot and login for the ISO, which holds the same root file system."""
    always = (*boot.checks(), *login.checks(recipe))
    if up.artifact == "iso":
        return always
    return (*always, *packages.checks(recipe), *network.checks(), *services.checks(recipe), *checks_of(recipe))


def _result(check: Check, answer: Answer, finding: Finding) -> AssertionResult:
    return AssertionResult(
        suite=check.suite,
        description=check.description,
        type=check.type,
        params=check.params,
        passed=finding.passed,
        expected=check.expected,
        found=clean_untrusted(finding.found, _LONGEST_TEXT),
        command=check.probe.command,
        seconds=answer.seconds,
    )


class _Progress:
    """Tells the log how the checks of one machine go."""

    def __init__(self, log: StepLog, artifact: str) -> None:
        self._log = log
        self._artifact = artifact
        self._done = 0
        self._expected = 1

    def expect(self, count: int) -> None:
        """Say how many checks there are."""
        self._expected = count

    def done(self, result: AssertionResult) -> None:
        """Tell one result."""
        self._done += 1
        if result.passed:
            self._log.line(f"{self._artifact}: ok    {result.suite}: {result.description} ({_first(result.found)})")
        else:
            said = f"expected {result.expected}, found {result.found}"
            self._log.line(f"{self._artifact}: WRONG {result.suite}: {result.description}: {said}")
        if self._expected > 1:
            percent = 100 * self._done / self._expected
            self._log.progress(percent, f"{self._artifact}: {result.suite}: {result.description}")


def _first(text: str) -> str:
    return text.splitlines()[0] if text else ""
