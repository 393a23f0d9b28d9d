"""The verification activities: thin, each one effect inside a step's frame."""

from dataclasses import dataclass

from temporalio import activity

from activities.session import StepSessions
from activities.verification.models import EvidenceNames, NameEvidence, VerifyInput, VerifyResult
from activities.verification.ports import Verifier, VmTester
from activities.verification.vm_models import CheckVm, RunStep, StepDone, VmChecked


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

    @activity.defn
    async def name_evidence(self, request: NameEvidence) -> EvidenceNames:
        """Say by what name this host's verifier knows evidence about these images."""
        return await self.checker.name_evidence(request)


@dataclass(frozen=True)
class VmTestActivities:
    """Tests of the VMs of one host."""

    sessions: StepSessions
    tester: VmTester

    @activity.defn
    async def check_vm(self, request: CheckVm) -> VmChecked:
        """Check a VM. Nothing in it is changed for good, so it can be repeated."""
        async with self.sessions.labelled(request.run_id, request.label) as log:
            return await self.tester.check(request, log)

    @activity.defn
    async def run_step(self, request: RunStep) -> StepDone:
        """Do one step of a case. All but a command can be repeated; a command may not like to run twice."""
        async with self.sessions.labelled(request.run_id, request.label) as log:
            return await self.tester.step(request, log)
