"""What was checked inside a booted image, and what was found."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from domain.model import Value

Bootable = Literal["qcow2", "iso"]
Firmware = Literal["bios", "uefi"]


class AssertionResult(Value):
    """One assertion with its evidence. `passed` is false for both a wrong and an unanswerable claim.

    `expected` and `found` are short texts for people; `command` is what was run in the guest.
    `found` came from the guest: treat it as untrusted data. `negated` says that the opposite was claimed.
    """

    suite: str
    description: str
    type: str
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    negated: bool = False
    passed: bool
    expected: str
    found: str
    command: str = ""
    seconds: float = 0.0


class BootReport(Value):
    """How one artifact came up. `seconds` is from power-on to the guest agent's first answer."""

    artifact: Bootable
    firmware: Firmware
    accelerator: Literal["kvm", "tcg"]
    booted: bool
    seconds: float
    reason: str | None = None


class Reuse(Value):
    """Where a report was taken over from: the build that made it, and when that one checked the artifact."""

    build_id: str
    verified_at: datetime


class VerificationReport(Value):
    """All that was checked on one artifact.

    `evidence` names what was checked by which tests of which verifier: a report of the same name is about
    the same bytes. `reused` says that nothing was booted for it.
    """

    artifact: Bootable
    firmware: Firmware
    accelerator: Literal["kvm", "tcg"]
    boot_seconds: float
    results: tuple[AssertionResult, ...]
    evidence: str | None = None
    reused: Reuse | None = None

    @property
    def passed(self) -> int:
        """How many assertions hold."""
        return sum(r.passed for r in self.results)

    @property
    def failed(self) -> int:
        """How many assertions do not hold."""
        return len(self.results) - self.passed

    @property
    def held(self) -> bool:
        """Whether something was checked and all of it holds."""
        return self.failed == 0 and self.passed > 0
