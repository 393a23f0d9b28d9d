"""What a test run found, step by step."""

from typing import Literal

from domain.verification import AssertionResult

CaseStatus = Literal["pending", "running", "passed", "failed", "error", "skipped", "cancelled"]
RESTING_CASES: frozenset[CaseStatus] = frozenset({"passed", "failed", "error", "skipped", "cancelled"})


class StepResult(AssertionResult):
    """One step or claim with its evidence, on the machine of `slot`; `keys` name the objects that it kept."""

    slot: str = ""
    keys: tuple[str, ...] = ()
