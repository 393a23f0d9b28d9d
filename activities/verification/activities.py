"""The verification activity: thin, one effect inside a step's frame."""

from dataclasses import dataclass
from typing import Protocol

from temporalio import activity

from activities.session import StepSessions
from activities.step_log import StepLog
from activities.verification.models import VerifyInput, VerifyResult


class MachineChecker(Protocol):
    """Checks booted machines."""

    async def verify(self, request: VerifyInput, log: StepLog) -> VerifyResult:
        """Run every assertion; what does not hold is in the result."""
        ...


@dataclass(frozen=True)
class VerificationActivities:
    """Assertions inside booted machines of one host."""

    sessions: StepSessions
    checker: MachineChecker

    @activity.defn
    async def verify_machines(self, request: VerifyInput) -> VerifyResult:
        """Check the job's machines."""
        async with self.sessions.open(request.job, "verify") as log:
            return await self.checker.verify(request, log)
