"""What a test run is after its events, folded in order. Folding never fails."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from domain.errors import Problem
from domain.model import Value
from domain.test_run import events as e
from domain.test_run.inputs import CaseKind, RunPlan
from domain.test_run.results import CaseStatus, KeptFile, StepResult

RunStatus = Literal["pending", "booting", "running", "passed", "failed", "error", "cancelled"]
RESTING: frozenset[RunStatus] = frozenset({"passed", "failed", "error", "cancelled"})


class CaseState(Value):
    """One case as last seen. `seconds` is set once it has ended."""

    name: str
    kind: CaseKind
    description: str = ""
    tags: tuple[str, ...] = ()
    slot: str
    status: CaseStatus = "pending"
    started_at: datetime | None = None
    seconds: float | None = None
    results: tuple[StepResult, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def failed_results(self) -> tuple[StepResult, ...]:
        """Those that do not hold."""
        return tuple(result for result in self.results if not result.passed)


class MachineState(Value):
    """The machine of one slot; `ready` is how many seconds it took until its guest answered."""

    slot: str
    vm_id: str | None = None
    owned: bool = True
    ready: float | None = None
    accelerator: Literal["kvm", "tcg"] | None = None


class Counts(Value):
    """How many cases are in each state; setup and teardown count only when they went wrong."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0


class RunState(Value):
    """One test run. `version` is the number of its events."""

    run_id: str
    org_id: str
    version: int
    status: RunStatus
    requested_by: str
    account: str = "operator"
    requested_at: datetime
    updated_at: datetime
    input_digest: str
    plan: RunPlan
    machines: tuple[MachineState, ...]
    cases: tuple[CaseState, ...]
    files: tuple[KeptFile, ...] = ()
    problems: tuple[Problem, ...] = ()
    reason: str | None = None
    seconds: float | None = None
    held_until: datetime | None = None

    @property
    def terminal(self) -> bool:
        """Whether its verdict is there."""
        return self.status in RESTING

    @property
    def counts(self) -> Counts:
        """How the cases stand."""
        counted = [c for c in self.cases if c.kind not in _AROUND or c.status in _WRONG]
        tally = {status: sum(c.status == status for c in counted) for status in _COUNTED}
        return Counts(total=len(counted), **tally)

    def case(self, name: str) -> CaseState | None:
        """Find a case by its name."""
        return next((case for case in self.cases if case.name == name), None)


_AROUND = frozenset({"setup", "teardown"})
_WRONG = frozenset({"failed", "error"})
_COUNTED = ("passed", "failed", "error", "skipped")


def evolve(state: RunState | None, event: e.RunEvent) -> RunState:
    """Return the state after `event`. A fact that does not fit leaves the state as it is, but counted.

    Raises:
        ValueError: the stream does not begin with `test_run.requested.v1`.

    """
    if isinstance(event, e.RunRequested):
        return _requested(event, 1 if state is None else state.version + 1)
    if state is None:
        raise ValueError(f"{event.NAME} before test_run.requested.v1 in {event.run_id}")
    state = state.model_copy(update={"version": state.version + 1, "updated_at": event.at})
    fold_one = _FOLDS.get(type(event))
    return state if fold_one is None else fold_one(state, event)


def fold(history: tuple[e.RunEvent, ...]) -> RunState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: RunState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _requested(event: e.RunRequested, version: int) -> RunState:
    plan = event.plan
    return RunState(
        run_id=event.run_id,
        org_id=event.org_id,
        version=version,
        status="pending",
        requested_by=event.requested_by,
        account=event.account,
        requested_at=event.at,
        updated_at=event.at,
        input_digest=event.input_digest,
        plan=plan,
        machines=tuple(MachineState(slot=m.slot, vm_id=m.vm_id, owned=m.vm_id is None) for m in plan.machines),
        cases=tuple(
            CaseState(name=c.name, kind=c.kind, description=c.description, tags=c.tags, slot=c.slot) for c in plan.cases
        ),
    )


def _bound(state: RunState, event: e.MachineBound) -> RunState:
    state = _with_machine(state, event.slot, vm_id=event.vm_id, owned=event.owned)
    return state.model_copy(update={"status": "booting"}) if state.status == "pending" else state


def _ready(state: RunState, event: e.MachineReady) -> RunState:
    return _with_machine(state, event.slot, ready=event.seconds, accelerator=event.accelerator)


def _case_started(state: RunState, event: e.CaseStarted) -> RunState:
    state = _with_case(state, event.case, status="running", started_at=event.at)
    return state if state.terminal else state.model_copy(update={"status": "running"})


def _case_finished(state: RunState, event: e.CaseFinished) -> RunState:
    facts = {"status": event.status, "seconds": event.seconds, "results": event.results, "problems": event.problems}
    return _with_case(state, event.case, **facts)


def _reported(state: RunState, event: e.RunReported) -> RunState:
    return state.model_copy(update={"files": event.files})


def _finished(state: RunState, event: e.RunFinished) -> RunState:
    state = _end_cases(state, "skipped")
    return state.model_copy(update={"status": event.status, "seconds": event.seconds, "problems": event.problems})


def _failed(state: RunState, event: e.RunFailed) -> RunState:
    state = _end_cases(state, "skipped")
    return state.model_copy(update={"status": "error", "seconds": event.seconds, "problems": event.problems})


def _cancelled(state: RunState, event: e.RunCancelled) -> RunState:
    state = _end_cases(state, "cancelled")
    seconds = (event.at - state.requested_at).total_seconds()
    return state.model_copy(update={"status": "cancelled", "reason": event.reason, "seconds": seconds})


def _held(state: RunState, event: e.RunHeld) -> RunState:
    return state.model_copy(update={"held_until": event.until})


def _with_machine(state: RunState, slot: str, **update: object) -> RunState:
    machines = tuple(m.model_copy(update=update) if m.slot == slot else m for m in state.machines)
    return state.model_copy(update={"machines": machines})


def _with_case(state: RunState, name: str, **update: object) -> RunState:
    cases = tuple(c.model_copy(update=update) if c.name == name else c for c in state.cases)
    return state.model_copy(update={"cases": cases})


def _end_cases(state: RunState, status: CaseStatus) -> RunState:
    """Say of cases that did not come to an end what became of them."""
    cases = tuple(
        c.model_copy(update={"status": status}) if c.status in {"pending", "running"} else c for c in state.cases
    )
    return state.model_copy(update={"cases": cases})


_FOLDS: dict[type[e.RunEvent], Callable[[RunState, Any], RunState]] = {
    e.MachineBound: _bound,
    e.MachineReady: _ready,
    e.CaseStarted: _case_started,
    e.CaseFinished: _case_finished,
    e.RunReported: _reported,
    e.RunFinished: _finished,
    e.RunFailed: _failed,
    e.RunCancelled: _cancelled,
    e.RunHeld: _held,
}
