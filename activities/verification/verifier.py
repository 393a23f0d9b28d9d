"""Checks the booted machines of a job against the recipe and the default tests."""

import asyncio
from dataclasses import dataclass, field

from activities.step_log import StepLog
from activities.verification.due import due_checks
from activities.verification.evidence import names_of
from activities.verification.models import EvidenceNames, NameEvidence, VerifyInput, VerifyResult
from activities.verification.ports import Guests
from activities.verification.runner import SETTLE_SECONDS, CheckRunner, Progress
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
        named = await self.name_evidence(NameEvidence(recipe=request.recipe, images=request.images))
        tasks = [asyncio.create_task(self._machine(request.job.job_id, recipe, up, log)) for up in request.boots]
        try:
            reports = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return VerifyResult(
            reports=tuple(r.model_copy(update={"evidence": named.names.get(r.artifact)}) for r in reports)
        )

    async def name_evidence(self, request: NameEvidence) -> EvidenceNames:
        """Name the evidence that checking these images would give."""
        return await asyncio.to_thread(names_of, request)

    async def _machine(self, job_id: str, recipe: Recipe, up: BootReport, log: StepLog) -> VerificationReport:
        guest = self.guests.guest(job_id, up.artifact)
        progress = Progress(log, up.artifact)
        first, *rest = due_checks(recipe, up.artifact)
        log.line(f"{up.artifact}: waiting until the start is over")
        results = await self.runner.run(guest, (first,), progress, settle=0.0)
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
