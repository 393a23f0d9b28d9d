"""Given events, when command, then events: a test run."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Problem, Verdict
from domain.test_run import commands as c
from domain.test_run import events as e
from domain.test_run.compare import compare
from domain.test_run.decide import decide
from domain.test_run.inputs import RunCase, RunMachine, RunPlan, RunRequest, RunTarget
from domain.test_run.reporting import report_of
from domain.test_run.results import KeptFile, StepResult
from domain.test_run.state import RunState, fold
from domain.test_run.summary import first_failure

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = Problem(code="host.lost", message="the host is gone", retryable=True)
ENDS = (e.RunFinished, e.RunFailed, e.RunCancelled)


def request(digest: str = "d") -> c.RequestRun:
    plan = RunPlan(
        kind="suite",
        name="smoke",
        target=RunTarget(kind="suite", id="s"),
        machines=(RunMachine(slot="primary", vm_id=None), RunMachine(slot="client", vm_id="v2")),
        cases=(RunCase(name="setup", kind="setup", slot="primary"), RunCase(name="web", slot="primary")),
    )
    return c.RequestRun(request=RunRequest(run_id="r", org_id="o", requested_by="ann", input_digest=digest, plan=plan))


def bind(slot: str = "primary", vm_id: str = "v1") -> c.BindMachine:
    return c.BindMachine(slot=slot, vm_id=vm_id, owned=True)


def result(*, passed: bool = True) -> StepResult:
    return StepResult(
        suite="web", description="port 80", type="port_listening", passed=passed, expected="open",
        found="open" if passed else "closed", slot="primary",
    )  # fmt: skip


def finish(case: str = "web", status: str = "passed", *results: StepResult) -> c.FinishCase:
    return c.FinishCase.model_validate({"case": case, "status": status, "seconds": 2.0, "results": results})


START, READY = c.StartCase(case="web"), c.ReadyMachine(slot="primary", seconds=9.0)
FINISH, FAIL = c.FinishRun(), c.FailRun(problems=(PROBLEM,))
CANCEL, HOLD = c.CancelRun(requested_by="ann", reason="enough"), c.HoldMachines(seconds=600)
REPORT = c.RecordReport(files=(KeptFile(name="report.html", key="reports/r/report.html"),))
SETUP = (c.StartCase(case="setup"), finish("setup"))


class Log:
    def __init__(self, *commands: c.AnyTestRunCommand) -> None:
        self.events: list[e.RunEvent] = []
        for command in commands:
            self.names(command)

    def names(self, command: c.AnyTestRunCommand) -> list[str]:
        made = decide(fold(tuple(self.events)), command, now=T0 + timedelta(seconds=len(self.events)))
        self.events += made
        return [event.NAME for event in made]

    def refuses(self, command: c.AnyTestRunCommand) -> str:
        with pytest.raises(Verdict) as caught:
            self.names(command)
        return caught.value.code

    @property
    def state(self) -> RunState:
        state = fold(tuple(self.events))
        assert state is not None
        return state


def test_a_run_is_asked_for_once() -> None:
    log = Log(request())
    assert log.names(request()) == []
    assert log.refuses(request("other")) == "request_key.reused"
    assert (log.state.status, log.state.counts.total) == ("pending", 1)


def test_nothing_happens_to_a_run_that_is_not_there() -> None:
    for command in (bind(), START, FINISH, FAIL, CANCEL, HOLD, REPORT):
        assert Log().refuses(command) == "test_run.not_found"


def test_machines_are_bound_and_ready_once() -> None:
    log = Log(request())
    assert log.names(bind()) == ["test_run.machine_bound.v1"]
    assert log.state.status == "booting"
    assert log.names(bind()) == []
    assert log.names(READY) == ["test_run.machine_ready.v1"]
    assert log.names(READY) == []
    assert [machine.vm_id for machine in log.state.machines] == ["v1", "v2"]
    assert log.refuses(bind("server")) == "test_run.unknown_slot"


def test_a_case_begins_and_ends_once() -> None:
    log = Log(request(), bind())
    assert log.refuses(finish()) == "test_run.out_of_order"
    assert log.names(START) == ["test_run.case_started.v1"]
    assert log.state.status == "running"
    assert log.names(START) == []
    assert log.names(finish()) == ["test_run.case_finished.v1"]
    assert log.names(finish("web", "failed")) == []
    assert log.refuses(c.StartCase(case="wbe")) == "test_run.unknown_case"


def test_a_case_may_be_skipped_without_having_begun() -> None:
    assert Log(request()).names(finish("web", "skipped")) == ["test_run.case_finished.v1"]


def test_a_run_passes_only_if_every_case_that_says_something_did() -> None:
    good = Log(request(), *SETUP, START, finish("web", "passed", result()), FINISH)
    assert (good.state.status, good.state.counts.passed, good.state.counts.total) == ("passed", 1, 1)
    bad = Log(request(), *SETUP, START, finish("web", "failed", result(passed=False)), FINISH)
    assert bad.state.status == "failed"
    assert first_failure(bad.state) == "web: port 80: expected open, found closed"
    assert Log(request(), *SETUP, START, FINISH).state.status == "failed"  # a case that did not end says nothing good
    assert Log(request(), *SETUP, finish("web", "skipped"), FINISH).state.status == "passed"
    assert Log(request(), finish("setup", "skipped"), finish("web", "skipped"), FINISH).state.status == "failed"


def test_machines_that_do_not_come_up_fail_the_run_and_skip_its_cases() -> None:
    log = Log(request(), bind(), c.FinishRun(problems=(PROBLEM,)))
    assert (log.state.status, first_failure(log.state)) == ("failed", PROBLEM.message)
    assert {case.status for case in log.state.cases} == {"skipped"}


def test_the_factorys_fault_is_an_error_and_no_failure() -> None:
    log = Log(request(), *SETUP, START, FAIL)
    assert (log.state.status, log.state.problems) == ("error", (PROBLEM,))
    assert log.names(FAIL) == []
    assert log.refuses(FINISH) == "test_run.already_finished"


@pytest.mark.parametrize("end", [FINISH, FAIL, CANCEL])
def test_nothing_follows_the_end_but_a_hold(end: c.AnyTestRunCommand) -> None:
    log = Log(request(), *SETUP, START, end)
    assert log.names(end) == []
    for command in (bind("client", "v9"), REPORT):
        assert log.refuses(command) == "test_run.already_finished"
    assert log.names(HOLD) == ["test_run.held.v1"]
    assert log.names(HOLD) == []
    assert log.state.held_until == log.events[-1].at + timedelta(seconds=600)


def test_a_run_that_goes_on_holds_nothing_yet() -> None:
    assert Log(request(), bind()).refuses(HOLD) == "test_run.out_of_order"


def test_a_cancelled_run_says_so_of_its_cases() -> None:
    log = Log(request(), *SETUP, START, CANCEL)
    assert [case.status for case in log.state.cases] == ["passed", "cancelled"]
    assert first_failure(log.state) == "enough"


def test_what_changed_since_the_run_before_is_told_case_by_case() -> None:
    before = Log(request(), *SETUP, START, finish("web", "passed", result()), FINISH).state
    now = Log(request(), *SETUP, START, finish("web", "failed", result(passed=False)), FINISH).state
    assert compare(report_of(now), report_of(before)).named("newly_failing") == ("web",)
    assert compare(report_of(before), report_of(now)).named("fixed") == ("web",)


def test_a_huge_run_is_told_in_a_bounded_report() -> None:
    long = result().model_copy(update={"found": "x" * 2000})
    log = Log(request(), *SETUP, START, finish("web", "passed", *[long] * 400), FINISH)
    assert len(report_of(log.state).model_dump_json()) < 400_000


commands = st.sampled_from(
    [
        request(), request("other"), bind(), bind("client", "v9"), READY, START, *SETUP, finish(),
        finish("web", "failed"), finish("web", "skipped"), FINISH, FAIL, CANCEL, HOLD, REPORT,
    ]
)  # fmt: skip


def _decided(sequence: list[c.AnyTestRunCommand]) -> Log:
    log = Log(request())
    for command in sequence:
        try:
            log.names(command)
        except Verdict:
            continue
    return log


@given(st.lists(commands, max_size=30))
def test_whatever_is_asked_a_run_ends_at_most_once(sequence: list[c.AnyTestRunCommand]) -> None:
    log = _decided(sequence)
    assert sum(isinstance(event, ENDS) for event in log.events) <= 1
    assert log.state.terminal is any(isinstance(event, ENDS) for event in log.events)
    assert log.state.version == len(log.events)


@given(st.lists(commands, max_size=30), commands)
def test_whatever_was_asked_the_last_command_again_adds_nothing(
    sequence: list[c.AnyTestRunCommand], last: c.AnyTestRunCommand
) -> None:
    log = _decided(sequence)
    try:
        log.names(last)
    except Verdict:
        return
    assert log.names(last) == []
