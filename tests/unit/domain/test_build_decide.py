"""Given events, when command, then events."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.artifacts import Artifact, Blob
from domain.build import commands as c
from domain.build import events as e
from domain.build.decide import decide
from domain.build.inputs import BuildRequest
from domain.build.state import BuildState, fold
from domain.build.steps import STEPS, StepName
from domain.errors import Problem, Verdict
from domain.verification import AssertionResult, VerificationReport

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = Problem(code="package.not_found", message="no such package")
TERMINAL = (e.BuildCompleted, e.BuildCancelled, e.RetryWindowClosed)


def request(retry_of: str | None = None) -> c.RequestBuild:
    return c.RequestBuild(
        request=BuildRequest(build_id="b1", org_id="o1", requested_by="ann", recipe={"name": "x"}, retry_of=retry_of)
    )


def report(*, passed: bool = True) -> VerificationReport:
    result = AssertionResult(suite="s", description="d", type="t", passed=passed, expected="e", found="f")
    return VerificationReport(artifact="qcow2", firmware="uefi", accelerator="tcg", boot_seconds=9.0, results=(result,))


def start(step: StepName, generation: int = 0, host: str | None = "h1") -> c.StartStep:
    return c.StartStep(step=step, generation=generation, host=host)


def end(step: StepName, generation: int = 0) -> c.CompleteStep:
    return c.CompleteStep(step=step, generation=generation, seconds=1.0, cached=False, summary="done")


def verified(generation: int = 0, *, passed: bool = True) -> c.RecordVerification:
    return c.RecordVerification(generation=generation, reports=(report(passed=passed),))


def published(generation: int = 0) -> c.RecordArtifacts:
    artifact = Artifact(kind="qcow2", name="x.qcow2", blob=Blob(digest="0" * 64, bytes=1))
    return c.RecordArtifacts(generation=generation, artifacts=(artifact,))


def fail(step: StepName, generation: int = 0) -> c.FailBuild:
    return c.FailBuild(step=step, generation=generation, cause="verdict", problems=(PROBLEM,), retry_seconds=3600.0)


def retry(generation: int = 1, command_id: str = "c1") -> c.RetryBuild:
    return c.RetryBuild(generation=generation, requested_by="ann", command_id=command_id)


CANCEL = c.CancelBuild(requested_by="ann", reason="no longer needed")
COMPLETE = c.CompleteBuild()
CLOSE = c.CloseRetryWindow()


class Log:
    """A build's stream: each command is decided against it and appended, a second apart."""

    def __init__(self, *commands: c.BuildCommand) -> None:
        self.events: list[e.BuildEvent] = []
        for command in commands:
            self.do(command)

    def do(self, command: c.BuildCommand) -> tuple[e.BuildEvent, ...]:
        made = decide(fold(tuple(self.events)), command, now=T0 + timedelta(seconds=len(self.events)))
        self.events += made
        return made

    def names(self, command: c.BuildCommand) -> list[str]:
        return [event.NAME for event in self.do(command)]

    def refuses(self, command: c.BuildCommand) -> str:
        with pytest.raises(Verdict) as caught:
            self.do(command)
        return caught.value.code

    @property
    def state(self) -> BuildState:
        state = fold(tuple(self.events))
        assert state is not None
        return state


def finished() -> Log:
    steps = [command for step in STEPS for command in (start(step), end(step))]
    return Log(request(), *steps, verified(), published(), COMPLETE)


def parked() -> Log:
    return Log(request(), start("resolve"), end("resolve"), start("base_layer"), fail("base_layer"))


def test_a_request_is_the_first_fact() -> None:
    log = Log(request())
    assert [event.NAME for event in log.events] == ["build.requested.v1"]
    assert (log.state.status, log.state.version, log.state.requested_by) == ("pending", 1, "ann")


def test_the_same_request_again_adds_nothing() -> None:
    assert Log(request()).names(request()) == []


def test_another_request_with_the_same_id_is_refused() -> None:
    assert Log(request()).refuses(request(retry_of="b0")) == "request_key.reused"


def test_nothing_happens_to_a_build_that_was_never_requested() -> None:
    for command in (start("resolve"), fail("resolve"), COMPLETE, CANCEL, CLOSE, retry()):
        assert Log().refuses(command) == "build.not_found"


def test_a_step_starts_and_ends_once_however_often_it_is_told() -> None:
    log = Log(request())
    assert log.names(start("resolve")) == ["build.step_started.v1"]
    assert log.names(start("resolve")) == []
    assert log.names(end("resolve")) == ["build.step_completed.v1"]
    assert log.names(end("resolve")) == []
    assert log.names(start("resolve")) == []
    assert [(s.step, s.status) for s in log.state.steps] == [("resolve", "completed")]


def test_a_step_that_does_not_run_cannot_end() -> None:
    assert Log(request()).refuses(end("resolve")) == "build.out_of_order"


def test_booting_and_verifying_is_testing() -> None:
    log = Log(request(), start("assemble"))
    assert log.state.status == "building"
    log.do(start("boot"))
    assert log.state.status == "testing"


def test_a_failure_parks_the_build_until_its_window_closes() -> None:
    log = parked()
    failure = log.state.failure
    assert failure is not None
    assert (log.state.status, log.state.terminal, failure.step) == ("failed", False, "base_layer")
    assert failure.retry_until == log.events[-1].at + timedelta(hours=1)
    assert log.names(fail("base_layer")) == []
    assert log.names(CLOSE) == ["build.retry_window_closed.v1"]
    assert log.names(CLOSE) == []
    assert log.state.terminal
    assert log.refuses(retry()) == "build.already_finished"


def test_a_retry_goes_on_from_the_failed_step_and_keeps_the_finished_ones() -> None:
    log = parked()
    (event,) = log.do(retry())
    assert isinstance(event, e.BuildRetried)
    assert event.from_step == "base_layer"
    assert (log.state.status, log.state.generation, log.state.failure) == ("pending", 1, None)
    assert [(s.step, s.status) for s in log.state.steps] == [("resolve", "completed")]
    assert log.names(start("base_layer", 1)) == ["build.step_started.v1"]


def test_the_same_retry_again_adds_nothing() -> None:
    log = parked()
    log.do(retry())
    assert log.names(retry()) == []
    assert log.names(retry(command_id="another")) == []


def test_only_a_failed_build_can_be_retried() -> None:
    assert Log(request(), start("resolve")).refuses(retry()) == "build.not_failed"
    assert finished().refuses(retry()) == "build.already_finished"


def test_a_try_cannot_be_skipped() -> None:
    assert parked().refuses(retry(generation=2)) == "build.out_of_order"
    assert Log(request()).refuses(start("resolve", 1)) == "build.out_of_order"


def test_what_comes_late_from_an_earlier_try_adds_nothing() -> None:
    log = parked()
    log.do(retry())
    for command in (start("boot", 0), end("base_layer", 0), fail("base_layer", 0), verified(0), published(0)):
        assert log.names(command) == []


def test_a_step_whose_result_was_lost_runs_again_in_the_next_try() -> None:
    log = parked()
    log.do(retry())
    assert log.names(start("resolve", 1)) == ["build.step_started.v1"]
    assert log.names(end("resolve", 1)) == ["build.step_completed.v1"]


def test_a_parked_build_that_was_reset_by_hand_follows_what_happens() -> None:
    log = parked()
    assert log.names(start("base_layer")) == ["build.step_started.v1"]
    assert (log.state.status, log.state.failure) == ("building", None)
    assert log.names(fail("base_layer")) == ["build.failed.v1"]


def test_reports_and_artifacts_are_recorded_once() -> None:
    log = Log(request(), start("verify"))
    assert log.names(verified()) == ["build.verified.v1"]
    assert log.names(verified()) == []
    assert log.names(published()) == ["build.artifacts_published.v1"]
    assert log.names(published()) == []


def test_completed_means_that_tests_ran_and_passed() -> None:
    assert Log(request(), start("publish")).refuses(COMPLETE) == "build.not_verified"
    assert Log(request(), start("verify"), verified(passed=False)).refuses(COMPLETE) == "build.not_verified"
    log = finished()
    assert (log.state.status, log.state.seconds) == ("completed", len(log.events) - 1)
    assert log.names(COMPLETE) == []


def test_a_failed_build_is_not_completed() -> None:
    log = Log(request(), start("publish"), verified(), fail("publish"))
    assert log.refuses(COMPLETE) == "build.out_of_order"


@pytest.mark.parametrize("before", [(), (start("resolve"),), (start("resolve"), fail("resolve"))])
def test_a_build_can_be_cancelled_whenever_it_has_not_ended(before: tuple[c.BuildCommand, ...]) -> None:
    log = Log(request(), *before)
    assert log.names(CANCEL) == ["build.cancelled.v1"]
    assert log.names(CANCEL) == []
    assert log.state.terminal
    assert log.refuses(start("base_layer")) == "build.already_finished"


def test_a_repeat_of_what_a_completed_build_did_adds_nothing_and_news_are_refused() -> None:
    log = finished()
    for command in (request(), start("boot"), end("boot"), verified(), published(), COMPLETE):
        assert log.names(command) == []
    for command in (CANCEL, CLOSE, fail("publish"), verified(passed=False)):
        assert log.refuses(command) == "build.already_finished"


def test_no_window_closes_while_a_build_works() -> None:
    assert Log(request(), start("resolve")).refuses(CLOSE) == "build.out_of_order"


steps = st.sampled_from(STEPS)
generations = st.integers(min_value=0, max_value=3)
commands = st.one_of(
    st.just(request()),
    st.just(request(retry_of="other")),
    st.builds(start, steps, generations),
    st.builds(end, steps, generations),
    st.builds(fail, steps, generations),
    st.builds(verified, generations, passed=st.booleans()),
    st.builds(published, generations),
    st.builds(retry, generations, st.sampled_from(["c1", "c2"])),
    st.sampled_from([COMPLETE, CANCEL, CLOSE]),
)


def _decided(sequence: list[c.BuildCommand]) -> Log:
    log = Log(request())
    for command in sequence:
        try:
            log.do(command)
        except Verdict:
            continue
    return log


@given(st.lists(commands, max_size=40))
def test_whatever_is_asked_a_build_ends_at_most_once_and_nothing_follows(sequence: list[c.BuildCommand]) -> None:
    log = _decided(sequence)
    ends = [i for i, event in enumerate(log.events) if isinstance(event, TERMINAL)]
    assert ends in ([], [len(log.events) - 1])
    assert log.state.terminal == bool(ends)
    assert log.state.version == len(log.events)


@given(st.lists(commands, max_size=40), commands)
def test_whatever_was_asked_the_last_command_again_adds_nothing(
    sequence: list[c.BuildCommand], last: c.BuildCommand
) -> None:
    log = _decided(sequence)
    try:
        log.do(last)
    except Verdict:
        return
    assert log.names(last) == []


@given(st.lists(commands, max_size=40))
def test_a_completed_build_always_has_a_report_that_passed(sequence: list[c.BuildCommand]) -> None:
    state = _decided(sequence).state
    if state.status == "completed":
        assert state.reports
        assert all(r.failed == 0 for r in state.reports)


@given(st.lists(st.sampled_from(finished().events + parked().events), max_size=20))
def test_folding_never_fails_on_facts_that_do_not_fit(events: list[e.BuildEvent]) -> None:
    state = fold((Log(request()).events[0], *events))
    assert state is not None
    assert state.version == 1 + len(events)
