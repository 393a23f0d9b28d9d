"""What a report tells about a test run, whether it checked one image or ran a suite. Times in seconds."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from domain.model import Value
from domain.verification import AssertionResult, Firmware

CaseStatus = Literal["passed", "failed", "error", "skipped"]
EvidenceKind = Literal["screenshot", "serial", "text", "file"]


class ReportTarget(Value):
    """A machine of the run. `image` names what it was booted from, for people; `slot` is its name in the suite."""

    slot: str
    vm_id: str = ""
    image: str = ""
    digest: str = ""
    accelerator: Literal["kvm", "tcg"] = "tcg"
    firmware: Firmware | None = None
    boot_seconds: float | None = None


class ReportStep(Value):
    """One result, and the slot of the machine that it was found on."""

    slot: str
    result: AssertionResult


class ReportCase(Value):
    """One case. `failed` is the guest's doing, `error` the factory's; `message` says why in the words of either.

    `evidence` holds object keys.
    """

    name: str
    tags: tuple[str, ...] = ()
    status: CaseStatus
    seconds: float = 0.0
    message: str | None = None
    steps: tuple[ReportStep, ...] = ()
    evidence: tuple[str, ...] = ()


class ReportEvidence(Value):
    """Something kept of the run: an object, whose bytes are `data` once they have been read for the page."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    name: str
    kind: EvidenceKind
    slot: str = ""
    key: str | None = None
    data: bytes | None = None


class RunReport(Value):
    """All that is told of a run. `title` names the suite, the recipe or the machine."""

    run_id: str
    kind: Literal["verification", "suite"]
    title: str
    started: datetime
    seconds: float
    targets: tuple[ReportTarget, ...] = ()
    cases: tuple[ReportCase, ...] = ()
    evidence: tuple[ReportEvidence, ...] = ()

    def count(self, status: CaseStatus) -> int:
        """How many cases ended so."""
        return sum(case.status == status for case in self.cases)

    @property
    def status(self) -> Literal["passed", "failed", "error"]:
        """The run as a whole: an error outweighs a failure; a run in which nothing passed or failed is an error."""
        if self.count("error") or not self.count("passed") + self.count("failed"):
            return "error"
        return "failed" if self.count("failed") else "passed"
