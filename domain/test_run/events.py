"""The facts of a test run. Names are versioned and never depend on a class path."""

from datetime import datetime
from typing import Literal

from domain.errors import Problem
from domain.event import Event
from domain.test_run.inputs import RunPlan
from domain.test_run.results import KeptFile, StepResult


class RunEvent(Event):
    """A fact about one test run."""

    run_id: str


class RunRequested(RunEvent):
    """Someone asked for a run. `account` names the organization's plan; `plan` is what the run does."""

    NAME = "test_run.requested.v1"
    requested_by: str
    account: str = "operator"
    plan: RunPlan
    input_digest: str


class MachineBound(RunEvent):
    """A slot has its VM. `owned` ones were made for the run and go with it."""

    NAME = "test_run.machine_bound.v1"
    slot: str
    vm_id: str
    owned: bool


class MachineReady(RunEvent):
    """The guest of a slot answers, `seconds` after its VM was asked for."""

    NAME = "test_run.machine_ready.v1"
    slot: str
    seconds: float
    accelerator: Literal["kvm", "tcg"] | None = None


class CaseStarted(RunEvent):
    """A case began."""

    NAME = "test_run.case_started.v1"
    case: str


class CaseFinished(RunEvent):
    """A case ended. `failed`: the guest is wrong; `error`: the factory is; `problems` say more than the results."""

    NAME = "test_run.case_finished.v1"
    case: str
    status: Literal["passed", "failed", "error", "skipped"]
    seconds: float
    results: tuple[StepResult, ...] = ()
    problems: tuple[Problem, ...] = ()


class RunReported(RunEvent):
    """The report and the files that were kept are in the object store."""

    NAME = "test_run.reported.v1"
    files: tuple[KeptFile, ...]


class RunFinished(RunEvent):
    """Everything that could be checked was. `problems` say why machines did not come up, if that is the reason."""

    NAME = "test_run.finished.v1"
    status: Literal["passed", "failed"]
    seconds: float
    problems: tuple[Problem, ...] = ()


class RunFailed(RunEvent):
    """The factory could not do it (a lost host, no room): this says nothing about what was tested."""

    NAME = "test_run.failed.v1"
    seconds: float
    problems: tuple[Problem, ...]


class RunCancelled(RunEvent):
    """Ended because someone asked, or because its workflow was ended from outside."""

    NAME = "test_run.cancelled.v1"
    requested_by: str
    reason: str


class RunHeld(RunEvent):
    """The run did not pass, and its machines stay until then, to be looked at; they end by themselves."""

    NAME = "test_run.held.v1"
    until: datetime


TEST_RUN_EVENTS: dict[str, type[RunEvent]] = {
    cls.NAME: cls
    for cls in (
        RunRequested,
        MachineBound,
        MachineReady,
        CaseStarted,
        CaseFinished,
        RunReported,
        RunFinished,
        RunFailed,
        RunCancelled,
        RunHeld,
    )
}
