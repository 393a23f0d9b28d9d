"""What was checked inside a booted image, and what was found."""

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


class VerificationReport(Value):
    """All that was checked on one artifact."""

    artifact: Bootable
    firmware: Firmware
    accelerator: Literal["kvm", "tcg"]
    boot_seconds: float
    results: tuple[AssertionResult, ...]

    @property
    def passed(self) -> int:
        """How many assertions hold."""
        return sum(r.passed for r in self.results)

    @property
    def failed(self) -> int:
        """How many assertions do not hold."""
        return len(self.results) - self.passed
