"""What a test run found, step by step."""

from typing import Literal

from domain.model import Value
from domain.verification import AssertionResult

CaseStatus = Literal["pending", "running", "passed", "failed", "error", "skipped", "cancelled"]
RESTING_CASES: frozenset[CaseStatus] = frozenset({"passed", "failed", "error", "skipped", "cancelled"})


class KeptFile(Value):
    """A file of the run in the object store. `slot` names the machine that it came from, if it did."""

    name: str
    key: str
    slot: str = ""


class StepResult(AssertionResult):
    """One step or claim with its evidence, on the machine of `slot`; `keys` name the objects that it kept."""

    slot: str = ""
    keys: tuple[str, ...] = ()
