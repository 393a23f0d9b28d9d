"""What a command makes happen, given what already happened.

A command whose fact the log holds already decides nothing: that is what lets a repeated activity, a
repeated signal and a workflow that was reset adopt what an earlier run did. A command of an earlier
generation is such a repeat too, for the build went on from there.
"""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from domain.build import commands as c
from domain.build import events as e
from domain.build.state import BuildState, StepState
from domain.build.steps import StepName
from domain.errors import Verdict

_Event = TypeVar("_Event", bound=e.BuildEvent)
_Generational = c.StartStep | c.CompleteStep | c.RecordVerification | c.RecordArtifacts | c.FailBuild
_NOTHING: tuple[e.BuildEvent, ...] = ()


def decide(state: BuildState | None, command: c.BuildCommand, *, now: datetime) -> tuple[e.BuildEvent, ...]:
    """Return the events that `command` adds to a build; none if they are there already.

    `now` is the time in UTC as the workflow sees it.

    Raises:
        Verdict: `build.not_found`, `request_key.reused`, `build.already_finished`, `build.not_failed`,
            `build.not_verified`, `build.out_of_order`: the command does not fit the build.

    """
    if isinstance(command, c.RequestBuild):
        return _request(state, command, now)
    if state is None:
        raise Verdict.because("build.not_found", "there is no such build", next="list_builds")
    match command:
        case c.StartStep() | c.CompleteStep() | c.RecordVerification() | c.RecordArtifacts() | c.FailBuild():
            return _in_generation(state, command, now)
        case c.RetryBuild():
            return _retry(state, command, now)
        case c.CompleteBuild():
            return _complete(state, now)
        case c.CancelBuild():
            return _cancel(state, command, now)
        case c.CloseRetryWindow() | c.DeleteBuild() | c.ExpireArtifacts():
            return _give_up(state, command, now)


def _request(state: BuildState | None, command: c.RequestBuild, now: datetime) -> tuple[e.BuildEvent, ...]:
    request = command.request
    if state is None:
        return (
            e.BuildRequested(
                build_id=request.build_id,
                org_id=request.org_id,
                at=now,
                requested_by=request.requested_by,
                recipe=request.recipe,
                recipe_digest=request.recipe_digest,
                input_digest=request.input_digest,
                retry_of=request.retry_of,
                verify=request.verify,
                plan=request.plan,
                rerun_of=request.rerun_of,
                lock=request.lock,
                concurrency_key=request.concurrency_key,
                why=request.why,
            ),
        )
    if state.org_id != request.org_id or state.input_digest != request.input_digest:
        message = "this build id belongs to another request"
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")
    return _NOTHING


def _in_generation(state: BuildState, command: _Generational, now: datetime) -> tuple[e.BuildEvent, ...]:
    if command.generation < state.generation:
        return _NOTHING
    if command.generation > state.generation:
        raise _out_of_order(f"try {command.generation} of this build was never asked for")
    match command:
        case c.StartStep():
            return _start_step(state, command, now)
        case c.CompleteStep():
            return _complete_step(state, command, now)
        case c.RecordVerification():
            return _verified(state, command, now)
        case c.RecordArtifacts():
            return _published(state, command, now)
        case c.FailBuild():
            return _fail(state, command, now)


def _start_step(state: BuildState, command: c.StartStep, now: datetime) -> tuple[e.BuildEvent, ...]:
    held = _step(state, command.step, command.generation)
    if held is not None and held.status in {"running", "completed"}:
        return _NOTHING
    # A parked build that starts a step without a retry was reset by hand: the log follows what happens.
    _refuse_finished(state)
    return _one(e.StepStarted, state, now, step=command.step, generation=command.generation, host=command.host)


def _complete_step(state: BuildState, command: c.CompleteStep, now: datetime) -> tuple[e.BuildEvent, ...]:
    held = _step(state, command.step, command.generation)
    if held is not None and held.status == "completed":
        return _NOTHING
    _refuse_finished(state)
    if held is None or held.status != "running":
        raise _out_of_order(f"the step {command.step} does not run, so it cannot end")
    return _one(
        e.StepCompleted,
        state,
        now,
        step=command.step,
        generation=command.generation,
        seconds=command.seconds,
        cached=command.cached,
        summary=command.summary,
    )


def _verified(state: BuildState, command: c.RecordVerification, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.reports == command.reports:
        return _NOTHING
    _refuse_finished(state)
    return _one(e.BuildVerified, state, now, generation=command.generation, reports=command.reports)


def _published(state: BuildState, command: c.RecordArtifacts, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.artifacts == command.artifacts:
        return _NOTHING
    _refuse_finished(state)
    return _one(e.ArtifactsPublished, state, now, generation=command.generation, artifacts=command.artifacts)


def _fail(state: BuildState, command: c.FailBuild, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.status == "failed":
        return _NOTHING
    _refuse_finished(state)
    return _one(
        e.BuildFailed,
        state,
        now,
        step=command.step,
        generation=command.generation,
        kind=command.cause,
        problems=command.problems,
        retry_until=now + timedelta(seconds=command.retry_seconds),
    )


def _retry(state: BuildState, command: c.RetryBuild, now: datetime) -> tuple[e.BuildEvent, ...]:
    if command.generation <= state.generation:
        return _NOTHING
    _refuse_finished(state)
    if state.failure is None:
        message = f"the build is {state.status}; only a failed one can be retried"
        raise Verdict.because("build.not_failed", message, value=state.build_id, next="get_build_status")
    if command.generation > state.generation + 1:
        raise _out_of_order(f"try {command.generation} cannot follow try {state.generation}")
    return _one(
        e.BuildRetried,
        state,
        now,
        generation=command.generation,
        from_step=state.failure.step,
        requested_by=command.requested_by,
        command_id=command.command_id,
    )


def _complete(state: BuildState, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.status == "completed":
        return _NOTHING
    _refuse_finished(state)
    if state.failure is not None:
        raise _out_of_order("a failed build is not completed: it can be retried")
    if not state.reports or not all(report.held for report in state.reports):
        message = "a build is completed only when every required test has run and passed"
        raise Verdict.because("build.not_verified", message, value=state.build_id, next="get_build_status")
    return _one(e.BuildCompleted, state, now, seconds=(now - state.requested_at).total_seconds())


def _cancel(state: BuildState, command: c.CancelBuild, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.status == "cancelled":
        return _NOTHING
    _refuse_finished(state)
    return _one(e.BuildCancelled, state, now, requested_by=command.requested_by, reason=command.reason)


def _close(state: BuildState, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.status == "failed" and state.terminal:
        return _NOTHING
    _refuse_finished(state)
    if state.status != "failed":
        raise _out_of_order(f"a build that is {_word(state)} does not wait for a retry")
    return _one(e.RetryWindowClosed, state, now)


def _give_up(
    state: BuildState, command: c.CloseRetryWindow | c.DeleteBuild | c.ExpireArtifacts, now: datetime
) -> tuple[e.BuildEvent, ...]:
    match command:
        case c.CloseRetryWindow():
            return _close(state, now)
        case c.DeleteBuild():
            return _delete(state, command, now)
        case c.ExpireArtifacts():
            return _expire(state, command, now)


def _delete(state: BuildState, command: c.DeleteBuild, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.status == "deleted":
        return _NOTHING
    if not state.terminal:
        raise Verdict.because(
            "build.not_ended",
            f"The build is {state.status}; only one that has ended can be deleted.",
            value=state.build_id,
            next="End it with cancel_build first.",
        )
    return _one(e.BuildDeleted, state, now, requested_by=command.requested_by, reason=command.reason)


def _expire(state: BuildState, command: c.ExpireArtifacts, now: datetime) -> tuple[e.BuildEvent, ...]:
    if state.status == "deleted" or state.expired is not None or not state.artifacts:
        return _NOTHING
    if not state.terminal:
        raise _out_of_order("the files of a build that has not ended do not expire")
    return _one(e.ArtifactsExpired, state, now, reason=command.reason)


def _step(state: BuildState, step: StepName, generation: int) -> StepState | None:
    return next((s for s in state.steps if s.step == step and s.generation == generation), None)


def _refuse_finished(state: BuildState) -> None:
    if state.terminal:
        raise Verdict.because(
            "build.already_finished",
            f"the build is {_word(state)}; nothing more can happen to it",
            value=state.build_id,
            next="Create a new build with `retry_of`.",
        )


def _word(state: BuildState) -> str:
    return "failed for good" if state.status == "failed" and state.terminal else state.status


def _out_of_order(message: str) -> Verdict:
    return Verdict(*Verdict.because("build.out_of_order", message, next="get_build_status").problems)


def _one(event: type[_Event], state: BuildState, now: datetime, /, **facts: Any) -> tuple[_Event]:  # noqa: ANN401 - the event's own fields, which its model checks
    return (event(build_id=state.build_id, org_id=state.org_id, at=now, **facts),)
