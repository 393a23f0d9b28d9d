"""Which facts a command makes, given what a build already is.

A fact that the state already holds is not decided again: that is what lets a repeated activity, a
reset workflow or a lost acknowledgement adopt its earlier effect. A command that contradicts the
state is refused with a `Verdict`.
"""

from datetime import datetime, timedelta

from domain.build import commands as c
from domain.build import events as e
from domain.build.state import BuildState
from domain.errors import Verdict


def decide(state: BuildState | None, command: c.BuildCommand, *, now: datetime) -> tuple[e.BuildEvent, ...]:
    """Decide `command` at the time `now` (UTC).

    Raises:
        Verdict: `build.unknown`, `build.already_finished`, `build.not_failed` or `request_key.reused`.

    """
    if isinstance(command, c.RequestBuild):
        return _request(state, command, now)
    if state is None:
        raise Verdict.because("build.unknown", "There is no build of that id.")
    stamp = _Stamp(build_id=state.build_id, org_id=state.org_id, at=now)
    match command:
        case c.StartStep() | c.CompleteStep() | c.RecordVerification() | c.RecordArtifacts():
            return _work(state, command, stamp)
        case c.FailBuild():
            return _fail(state, command, stamp)
        case c.RetryBuild():
            return _retry(state, command, stamp)
        case c.CompleteBuild() | c.CancelBuild() | c.CloseRetryWindow():
            return _end(state, command, stamp)


class _Stamp(e.BuildEvent):
    """What every fact of one decision has in common."""

    NAME = "build.stamp"

    def dict_of(self) -> dict[str, object]:
        return {"build_id": self.build_id, "org_id": self.org_id, "at": self.at}


def _request(state: BuildState | None, command: c.RequestBuild, now: datetime) -> tuple[e.BuildEvent, ...]:
    request = command.request
    if state is not None:
        if state.input_digest == request.input_digest:
            return ()
        raise Verdict.because(
            "request_key.reused",
            "This id belongs to a build with other input.",
            next="Use a new request_key for a different request.",
        )
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
        ),
    )


def _work(
    state: BuildState,
    command: c.StartStep | c.CompleteStep | c.RecordVerification | c.RecordArtifacts,
    stamp: _Stamp,
) -> tuple[e.BuildEvent, ...]:
    if command.generation < state.generation:
        return ()  # a late repeat from before a retry
    _refuse_ended(state)
    common = stamp.dict_of()
    given = command.model_dump(exclude={"kind"})
    match command:
        case c.StartStep():
            known = any(s.step == command.step and s.status in ("running", "completed") for s in state.steps)
            return () if known else (e.StepStarted.model_validate(common | given),)
        case c.CompleteStep():
            known = any(s.step == command.step and s.status == "completed" for s in state.steps)
            return () if known else (e.StepCompleted.model_validate(common | given),)
        case c.RecordVerification():
            return () if command.reports == state.reports else (e.BuildVerified.model_validate(common | given),)
        case c.RecordArtifacts():
            same = command.artifacts == state.artifacts
            return () if same else (e.ArtifactsPublished.model_validate(common | given),)


def _fail(state: BuildState, command: c.FailBuild, stamp: _Stamp) -> tuple[e.BuildEvent, ...]:
    if command.generation < state.generation or (state.status == "failed" and state.failure is not None):
        return ()
    _refuse_ended(state)
    return (
        e.BuildFailed(
            build_id=stamp.build_id,
            org_id=stamp.org_id,
            at=stamp.at,
            step=command.step,
            generation=command.generation,
            kind=command.cause,
            problems=command.problems,
            retry_until=stamp.at + timedelta(seconds=command.retry_seconds),
        ),
    )


def _retry(state: BuildState, command: c.RetryBuild, stamp: _Stamp) -> tuple[e.BuildEvent, ...]:
    if command.generation <= state.generation:
        return ()
    _refuse_ended(state)
    if state.failure is None:
        raise Verdict.because(
            "build.not_failed",
            f"The build is {state.status}; only a failed one can be retried.",
            next="Look at its status first.",
        )
    return (
        e.BuildRetried(
            build_id=stamp.build_id,
            org_id=stamp.org_id,
            at=stamp.at,
            generation=command.generation,
            from_step=state.failure.step,
            requested_by=command.requested_by,
            command_id=command.command_id,
        ),
    )


def _end(
    state: BuildState, command: c.CompleteBuild | c.CancelBuild | c.CloseRetryWindow, stamp: _Stamp
) -> tuple[e.BuildEvent, ...]:
    common = stamp.dict_of()
    match command:
        case c.CloseRetryWindow():
            waiting = state.failure is not None and not state.terminal
            return (e.RetryWindowClosed.model_validate(common),) if waiting else ()
        case c.CompleteBuild():
            if state.status == "completed":
                return ()
            _refuse_ended(state)
            seconds = (stamp.at - state.requested_at).total_seconds()
            return (e.BuildCompleted.model_validate(common | {"seconds": seconds}),)
        case c.CancelBuild():
            if state.status == "cancelled":
                return ()
            _refuse_ended(state)
            given = {"requested_by": command.requested_by, "reason": command.reason}
            return (e.BuildCancelled.model_validate(common | given),)


def _refuse_ended(state: BuildState) -> None:
    if state.terminal:
        raise Verdict.because(
            "build.already_finished",
            f"The build has ended: {state.status}.",
            next="Start a new one with create_build.",
        )
