"""The verification activity: thin, one effect inside a step's frame."""

from dataclasses import dataclass

from temporalio import activity

from activities.session import StepSessions
from activities.verification.models import VerifyInput, VerifyResult
from activities.verification.ports import Verifier


@dataclass(frozen=True)
class VerificationActivities:
    """Assertions inside booted machines of one host."""

    sessions: StepSessions
    checker: Verifier

    @activity.defn
    async def verify_machines(self, request: VerifyInput) -> VerifyResult:
        """Check the job's machines."""
        async with self.sessions.open(request.job, "verify") as log:
            return await self.checker.verify(request, log)
