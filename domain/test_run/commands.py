"""What a test run's workflow may tell the log. Each command is decided against what the log holds."""

from typing import Annotated, Literal

from pydantic import Field

from domain.errors import Problem
from domain.model import Value
from domain.test_run.inputs import RunRequest
from domain.test_run.results import KeptFile, StepResult


class RequestRun(Value):
    """The first fact of a run."""

    kind: Literal["request"] = "request"
    request: RunRequest


class BindMachine(Value):
    """A slot has its VM."""

    kind: Literal["bind_machine"] = "bind_machine"
    slot: str
    vm_id: str
    owned: bool


class ReadyMachine(Value):
    """A slot's guest answers; `seconds` since its VM was asked for."""

    kind: Literal["ready_machine"] = "ready_machine"
    slot: str
    seconds: float
    accelerator: Literal["kvm", "tcg"] | None = None


class StartCase(Value):
    """A case begins."""

    kind: Literal["start_case"] = "start_case"
    case: str


class FinishCase(Value):
    """A case ended."""

    kind: Literal["finish_case"] = "finish_case"
    case: str
    status: Literal["passed", "failed", "error", "skipped"]
    seconds: float
    results: tuple[StepResult, ...] = ()
    problems: tuple[Problem, ...] = ()


class RecordReport(Value):
    """The report is written."""

    kind: Literal["record_report"] = "record_report"
    files: tuple[KeptFile, ...]


class FinishRun(Value):
    """All was checked; `problems` if the machines did not come up."""

    kind: Literal["finish"] = "finish"
    problems: tuple[Problem, ...] = ()


class FailRun(Value):
    """The factory could not do it."""

    kind: Literal["fail"] = "fail"
    problems: tuple[Problem, ...]


class CancelRun(Value):
    """End the run."""

    kind: Literal["cancel"] = "cancel"
    requested_by: str
    reason: str


class HoldMachines(Value):
    """Keep the machines so many seconds."""

    kind: Literal["hold"] = "hold"
    seconds: float


AnyTestRunCommand = (
    RequestRun
    | BindMachine
    | ReadyMachine
    | StartCase
    | FinishCase
    | RecordReport
    | FinishRun
    | FailRun
    | CancelRun
    | HoldMachines
)
TestRunCommand = Annotated[AnyTestRunCommand, Field(discriminator="kind")]
