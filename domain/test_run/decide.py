"""What a command makes happen to a test run, given what already happened.

A command whose fact the log holds already decides nothing: that is what lets a repeated activity and a
workflow that was reset adopt what an earlier run of it did.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from domain.errors import Verdict
from domain.test_run import commands as c
from domain.test_run import events as e
from domain.test_run.results import RESTING_CASES
from domain.test_run.state import CaseState, MachineState, RunState

_Event = TypeVar("_Event", bound=e.RunEvent)
_Events = tuple[e.RunEvent, ...]
_NOTHING: _Events = ()


def decide(state: RunState | None, command: c.AnyTestRunCommand, *, now: datetime) -> _Events:
    """Return the events that `command` adds to a test run; none if they are there already.

    `now` is the time in UTC as the workflow sees it.

    Raises:
        Verdict: `test_run.not_found`, `request_key.reused`, `test_run.already_finished`,
            `test_run.unknown_slot`, `test_run.unknown_case`, `test_run.out_of_order`.

    """
    if isinstance(command, c.RequestRun):
        return _request(state, command, now)
    if state is None:
        raise Verdict.because("test_run.not_found", "there is no such test run", next="list_test_runs")
    return _DECISIONS[type(command)](state, command, now)


def _request(state: RunState | None, command: c.RequestRun, now: datetime) -> _Events:
    request = command.request
    if state is None:
        return (
            e.RunRequested(
                run_id=request.run_id,
                org_id=request.org_id,
                at=now,
                requested_by=request.requested_by,
                account=request.account,
                plan=request.plan,
                input_digest=request.input_digest,
            ),
        )
    if state.org_id != request.org_id or state.input_digest != request.input_digest:
        message = "this test run's id belongs to another request"
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")
    return _NOTHING


def _bind(state: RunState, command: c.BindMachine, now: datetime) -> _Events:
    machine = _machine(state, command.slot)
    if machine.vm_id == command.vm_id and state.status != "pending":
        return _NOTHING
    _refuse_finished(state)
    return _one(e.MachineBound, state, now, slot=command.slot, vm_id=command.vm_id, owned=command.owned)


def _ready(state: RunState, command: c.ReadyMachine, now: datetime) -> _Events:
    if _machine(state, command.slot).ready is not None:
        return _NOTHING
    _refuse_finished(state)
    return _one(e.MachineReady, state, now, slot=command.slot, seconds=command.seconds, accelerator=command.accelerator)


def _start_case(state: RunState, command: c.StartCase, now: datetime) -> _Events:
    if _case(state, command.case).status != "pending":
        return _NOTHING
    _refuse_finished(state)
    return _one(e.CaseStarted, state, now, case=command.case)


def _finish_case(state: RunState, command: c.FinishCase, now: datetime) -> _Events:
    case = _case(state, command.case)
    if case.status in RESTING_CASES:
        return _NOTHING
    _refuse_finished(state)
    if case.status == "pending" and command.status != "skipped":
        raise _out_of_order(f"the case {command.case} does not run, so it cannot end")
    return _one(
        e.CaseFinished,
        state,
        now,
        case=command.case,
        status=command.status,
        seconds=command.seconds,
        results=command.results,
        problems=command.problems,
    )


def _report(state: RunState, command: c.RecordReport, now: datetime) -> _Events:
    if state.files == command.files:
        return _NOTHING
    _refuse_finished(state)
    return _one(e.RunReported, state, now, files=command.files)


def _finish(state: RunState, command: c.FinishRun, now: datetime) -> _Events:
    """Judge the run by its cases: passed only if some did, and all others had nothing to say."""
    if state.status in {"passed", "failed"}:
        return _NOTHING
    _refuse_finished(state)
    ended = {case.status for case in state.cases}
    passed = ended <= {"passed", "skipped"} and "passed" in ended and not command.problems
    return _one(
        e.RunFinished,
        state,
        now,
        status="passed" if passed else "failed",
        seconds=_seconds(state, now),
        problems=command.problems,
    )


def _fail(state: RunState, command: c.FailRun, now: datetime) -> _Events:
    if state.status == "error":
        return _NOTHING
    _refuse_finished(state)
    return _one(e.RunFailed, state, now, seconds=_seconds(state, now), problems=command.problems)


def _cancel(state: RunState, command: c.CancelRun, now: datetime) -> _Events:
    if state.status == "cancelled":
        return _NOTHING
    _refuse_finished(state)
    return _one(e.RunCancelled, state, now, requested_by=command.requested_by, reason=command.reason)


def _hold(state: RunState, command: c.HoldMachines, now: datetime) -> _Events:
    if state.held_until is not None:
        return _NOTHING
    if not state.terminal:
        raise _out_of_order("only a run that has ended holds its machines")
    return _one(e.RunHeld, state, now, until=now + timedelta(seconds=command.seconds))


def _machine(state: RunState, slot: str) -> MachineState:
    found = next((machine for machine in state.machines if machine.slot == slot), None)
    if found is None:
        raise Verdict.because("test_run.unknown_slot", f"the run has no machine `{slot}`", value=slot)
    return found


def _case(state: RunState, name: str) -> CaseState:
    found = state.case(name)
    if found is None:
        raise Verdict.because("test_run.unknown_case", f"the run has no case `{name}`", value=name)
    return found


def _refuse_finished(state: RunState) -> None:
    if state.terminal:
        raise Verdict.because(
            "test_run.already_finished",
            f"the test run has ended ({state.status}); nothing more can happen to it",
            value=state.run_id,
            next="Start a new run.",
        )


def _out_of_order(message: str) -> Verdict:
    return Verdict.because("test_run.out_of_order", message, next="get_test_run")


def _seconds(state: RunState, now: datetime) -> float:
    return (now - state.requested_at).total_seconds()


def _one(event: type[_Event], state: RunState, now: datetime, /, **facts: Any) -> tuple[_Event]:  # noqa: ANN401 - the event's own fields, which its model checks
    return (event(run_id=state.run_id, org_id=state.org_id, at=now, **facts),)


_DECISIONS: dict[type[Any], Callable[[RunState, Any, datetime], _Events]] = {
    c.BindMachine: _bind,
    c.ReadyMachine: _ready,
    c.StartCase: _start_case,
    c.FinishCase: _finish_case,
    c.RecordReport: _report,
    c.FinishRun: _finish,
    c.FailRun: _fail,
    c.CancelRun: _cancel,
    c.HoldMachines: _hold,
}
