"""The effects of verification, as its activity class needs them, and what it needs of a machine itself."""

from typing import Protocol

from activities.step_log import StepLog
from activities.verification.models import VerifyInput, VerifyResult


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


class Verifier(Protocol):
    """Checks booted machines."""

    async def verify(self, request: VerifyInput, log: StepLog) -> VerifyResult:
        """Run the tests that each machine is due; answers what was found, right or wrong."""
        ...
