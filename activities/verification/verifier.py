"""Checks the booted machines of a job against the recipe and the default tests."""

import asyncio
from dataclasses import dataclass, field

from activities.step_log import StepLog
from activities.verification.assertions import checks_of
from activities.verification.check import Check
from activities.verification.models import VerifyInput, VerifyResult
from activities.verification.ports import Guests
from activities.verification.runner import SETTLE_SECONDS, CheckRunner, Progress
from activities.verification.suites import boot, login, network, packages, services
from domain.recipe.schema import Recipe
from domain.verification import BootReport, VerificationReport


@dataclass(frozen=True)
class GuestVerifier:
    """Runs the tests inside guests (`ports.Verifier`)."""

    guests: Guests
    runner: CheckRunner = field(default_factory=CheckRunner)

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
        progress = Progress(log, up.artifact)
        first = boot.started(recipe)
        log.line(f"{up.artifact}: waiting until the start is over")
        # All others come after this one: it waits until the start is over.
        results = await self.runner.run(guest, (first,), progress, settle=0.0)
        rest = _due(recipe, up)
        progress.expect(1 + len(rest))
        results += await self.runner.run(guest, rest, progress, settle=SETTLE_SECONDS[up.accelerator])
        report = VerificationReport(
            artifact=up.artifact,
            firmware=up.firmware,
            accelerator=up.accelerator,
            boot_seconds=up.seconds,
            results=tuple(results),
        )
        log.line(f"{up.artifact}: {report.passed} of {len(results)} assertions hold")
        return report


def _due(recipe: Recipe, up: BootReport) -> tuple[Check, ...]:
    """Everything for the disk image; boot and login for the ISO, which holds the same root file system."""
    always = (*boot.checks(), *login.checks(recipe))
    if up.artifact == "iso":
        return always
    return (*always, *packages.checks(recipe), *network.checks(), *services.checks(recipe), *checks_of(recipe))
