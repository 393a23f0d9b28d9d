"""The effects of verification, as its activity class needs them, and what it needs of a machine itself."""

from typing import Protocol

from activities.step_log import StepLog
from activities.verification.models import EvidenceNames, NameEvidence, VerifyInput, VerifyResult
from activities.verification.vm_models import CheckVm, RunStep, StepDone, VmChecked
from activities.vm_ref import VmRef


class GuestExec(Protocol):
    """A program that ran in a guest. Output is untrusted and capped; `status` is its exit status."""

    @property
    def status(self) -> int:
        """The exit status, as a shell tells it."""
        ...

    @property
    def stdout(self) -> bytes:
        """What it wrote to standard output."""
        ...

    @property
    def stderr(self) -> bytes:
        """What it wrote to standard error."""
        ...


class Guest(Protocol):
    """A running machine whose guest agent answers."""

    async def run(self, argv: tuple[str, ...], *, timeout: float, stdin: bytes = b"") -> GuestExec:  # noqa: ASYNC109 - it also stops the program
        """Run a program in the guest as root, for at most `timeout` seconds.

        Raises `Verdict` (`guest.agent_silent`) when the agent stops answering and `Fault` when the
        hypervisor does.
        """
        ...


class Guests(Protocol):
    """Reaches the guests of booted machines."""

    def guest(self, job_id: str, artifact: str) -> Guest:
        """Reach the guest of one machine of a job."""
        ...


class VmGuests(Protocol):
    """Reaches the guests of VMs on this host."""

    async def vm_guest(self, vm: VmRef) -> Guest:
        """Reach a running VM's guest, by its agent or by SSH.

        Raises `Verdict` (`vm.not_found`, `vm.wrong_state`, `lease.superseded`).
        """
        ...


class VmTester(Protocol):
    """Tests running VMs."""

    async def check(self, request: CheckVm, log: StepLog) -> VmChecked:
        """Check the VM; answers what was found, right or wrong."""
        ...

    async def step(self, request: RunStep, log: StepLog) -> StepDone:
        """Do one step of a case; answers how it went, right or wrong."""
        ...


class Verifier(Protocol):
    """Checks booted machines."""

    async def verify(self, request: VerifyInput, log: StepLog) -> VerifyResult:
        """Run the tests that each machine is due; answers what was found, right or wrong."""
        ...

    async def name_evidence(self, request: NameEvidence) -> EvidenceNames:
        """Name the evidence that checking these images would give."""
        ...
