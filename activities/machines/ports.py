"""The effects on machines, as the activity class needs them."""

from typing import Protocol

from activities.machines.models import BootInput, BootResult, ReleaseInput
from activities.step_log import StepLog
from domain.model import Value


class GuestExec(Value):
    """A program that ran in a guest. Output is untrusted and capped; `status` is its exit status."""

    status: int
    stdout: bytes
    stderr: bytes


class Guest(Protocol):
    """A running machine whose guest agent answers."""

    async def run(  # the deadline is the program's in the guest, not this call's alone
        self,
        argv: tuple[str, ...],
        *,
        timeout: float,  # noqa: ASYNC109
        stdin: bytes = b"",
    ) -> GuestExec:
        """Run a program in the guest as root; status 127 if there is none of that name.

        Raises `Verdict` (`guest.agent_silent`) when the agent stops answering and `Fault` when the
        hypervisor does.
        """
        ...


class Machines(Protocol):
    """The machines of this host, named by job and artifact, so that a repeat adopts or replaces them."""

    async def boot(self, request: BootInput, log: StepLog) -> BootResult:
        """Boot every artifact until its guest agent answers.

        A machine left over from an earlier attempt is destroyed first. Raises `Verdict`
        (`boot.failed`, with the reason read from the console) after its evidence is stored under
        `evidence/<job>/<generation>/<machine>/`; the other machines are left running for `release`.
        """
        ...

    def guest(self, job_id: str, artifact: str) -> Guest:
        """Reach the guest of a booted machine."""
        ...

    async def capture(self, job_id: str, generation: int, artifact: str, log: StepLog) -> tuple[str, ...]:
        """Store evidence (serial log, screenshot, journal of failed units); answers the object keys."""
        ...

    async def release(self, request: ReleaseInput) -> int:
        """Destroy the job's machines and remove their files; answers how many there were. Harmless to repeat."""
        ...
