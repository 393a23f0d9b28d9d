"""What a build is after its events, folded in order. Folding never fails."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from domain.artifacts import Artifact, Blob
from domain.build import events as e
from domain.build.inputs import VerifyPolicy
from domain.build.steps import TESTING_STEPS, StepName
from domain.errors import Problem
from domain.model import Value
from domain.verification import VerificationReport

BuildStatus = Literal["pending", "building", "testing", "completed", "failed", "cancelled", "deleted"]
StepStatus = Literal["running", "completed", "failed", "cancelled"]
# Nothing happens to it by itself any more; a failed one waits for a retry.
RESTING: frozenset[BuildStatus] = frozenset({"completed", "failed", "cancelled", "deleted"})
# What an event says of a state: its fields' new values. They are put in at once, for a copy costs more than the rest.
Change = Mapping[str, object]
_RETRIES_KEPT = 50  # as many as the workflow knows again


class StepState(Value):
    """One step as last seen. `seconds` is set once it has ended; `generation` is the try that ran it."""

    step: StepName
    status: StepStatus
    generation: int = 0
    started_at: datetime
    seconds: float | None = None
    cached: bool = False
    summary: str | None = None


class Failure(Value):
    """Why a build is parked."""

    step: StepName
    kind: Literal["verdict", "fault"]
    problems: tuple[Problem, ...]
    retryable: bool
    retry_until: datetime


class Removal(Value):
    """Since when and why the files of a build are no longer kept."""

    at: datetime
    by: str
    reason: str


class BuildState(Value):
    """One build. `version` is the number of its events.

    `lock` is the earlier build's that this one builds again. `retries` are the ids of the newest commands that it went
    on after. `rested_at` is when it last came to its end or failed, whatever became of it later. `deleted` says that
    somebody deleted it, `expired` that its artifacts are only known by name any more.
    """

    build_id: str
    org_id: str
    version: int
    status: BuildStatus
    requested_by: str
    requested_at: datetime
    updated_at: datetime
    recipe: dict[str, Any]
    recipe_digest: str
    input_digest: str
    retry_of: str | None = None
    verify: VerifyPolicy = "auto"
    plan: str = "self-hosted"
    rerun_of: str | None = None
    lock: Blob | None = None
    concurrency_key: str | None = None
    why: str | None = None
    generation: int = 0
    host: str | None = None
    steps: tuple[StepState, ...] = ()
    reports: tuple[VerificationReport, ...] = ()
    verified_at: datetime | None = None
    rested_at: datetime | None = None
    artifacts: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    deleted: Removal | None = None
    expired: Removal | None = None
    retries: tuple[str, ...] = ()
    cancel_reason: str | None = None
    seconds: float | None = None

    @property
    def terminal(self) -> bool:
        """Whether nothing more can happen."""
        closed = self.failure is not None and not self.failure.retryable
        return self.status in {"completed", "cancelled", "deleted"} or (self.status == "failed" and closed)

    @property
    def evidence(self) -> tuple[str, ...]:
        """What later builds may take over: the names of the reports that this build made and completed with."""
        if self.status != "completed":
            return ()
        return tuple(r.evidence for r in self.reports if r.evidence and r.held and r.reused is None)


def at_work(state: BuildState) -> StepName | None:
    """Name the step that runs, or the one in which the build failed or was cancelled."""
    current = next((step for step in reversed(state.steps) if step.status != "completed"), None)
    if current is not None:
        return current.step
    return state.failure.step if state.failure is not None else None


def evolve(state: BuildState | None, event: e.BuildEvent) -> BuildState:
    """Return the state after `event`. A fact that does not fit leaves the state as it is, but counted.

    Raises:
        ValueError: the stream does not begin with `build.requested.v1`.

    """
    if isinstance(event, e.BuildRequested):
        return _requested(event, 1 if state is None else state.version + 1)
    if state is None:
        raise ValueError(f"{event.NAME} before build.requested.v1 in {event.build_id}")
    tell = _CHANGES.get(type(event))
    said: Change = {} if tell is None else tell(state, event)
    return state.model_copy(update={"version": state.version + 1, "updated_at": event.at, **said})


def fold(history: tuple[e.BuildEvent, ...]) -> BuildState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: BuildState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _requested(event: e.BuildRequested, version: int) -> BuildState:
    return BuildState(
        build_id=event.build_id,
        org_id=event.org_id,
        version=version,
        status="pending",
        requested_by=event.requested_by,
        requested_at=event.at,
        updated_at=event.at,
        recipe=event.recipe,
        recipe_digest=event.recipe_digest,
        input_digest=event.input_digest,
        retry_of=event.retry_of,
        verify=event.verify,
        plan=event.plan,
        rerun_of=event.rerun_of,
        lock=event.lock,
        concurrency_key=event.concurrency_key,
        why=event.why,
    )


def _step_started(state: BuildState, event: e.StepStarted) -> Change:
    started = StepState(step=event.step, status="running", generation=event.generation, started_at=event.at)
    others = tuple(s for s in state.steps if s.step != event.step)
    status = "testing" if event.step in TESTING_STEPS else "building"
    host = state.host if event.host is None else event.host
    return {"steps": (*others, started), "status": status, "failure": None, "host": host, "rested_at": None}


def _step_completed(state: BuildState, event: e.StepCompleted) -> Change:
    ended = {"status": "completed", "seconds": event.seconds, "cached": event.cached, "summary": event.summary}
    return {"steps": _with_step(state.steps, event.step, ended)}


def _verified(_: BuildState, event: e.BuildVerified) -> Change:
    return {"reports": event.reports, "verified_at": event.at}


def _published(_: BuildState, event: e.ArtifactsPublished) -> Change:
    return {"artifacts": event.artifacts}


def _completed(_: BuildState, event: e.BuildCompleted) -> Change:
    return {"status": "completed", "seconds": event.seconds, "rested_at": event.at}


def _with_step(steps: tuple[StepState, ...], step: StepName, change: Change) -> tuple[StepState, ...]:
    return tuple(s.model_copy(update=change) if s.step == step else s for s in steps)


def _end_running(steps: tuple[StepState, ...], status: StepStatus, at: datetime) -> tuple[StepState, ...]:
    return tuple(
        s.model_copy(update={"status": status, "seconds": (at - s.started_at).total_seconds()})
        if s.status == "running"
        else s
        for s in steps
    )


def _failed(state: BuildState, event: e.BuildFailed) -> Change:
    failure = Failure(
        step=event.step, kind=event.kind, problems=event.problems, retryable=True, retry_until=event.retry_until
    )
    steps = _with_step(_end_running(state.steps, "failed", event.at), event.step, {"status": "failed"})
    return {"steps": steps, "status": "failed", "failure": failure, "rested_at": event.at}


def _retried(state: BuildState, event: e.BuildRetried) -> Change:
    # Machines do not outlive a failure, so checking them again begins with booting them again.
    again = {event.from_step, "boot"} if event.from_step == "verify" else {event.from_step}
    return {
        "status": "pending",
        "failure": None,
        "rested_at": None,
        "generation": event.generation,
        "steps": tuple(s for s in state.steps if s.status == "completed" and s.step not in again),
        "retries": (*state.retries, event.command_id)[-_RETRIES_KEPT:],
    }


def _cancelled(state: BuildState, event: e.BuildCancelled) -> Change:
    steps = _end_running(state.steps, "cancelled", event.at)
    rested_at = state.rested_at or event.at  # one that was parked had come to rest when it failed
    return {"steps": steps, "status": "cancelled", "cancel_reason": event.reason, "rested_at": rested_at}


def _closed(state: BuildState, _: e.RetryWindowClosed) -> Change:
    if state.failure is None:
        return {}
    return {"failure": state.failure.model_copy(update={"retryable": False})}


def _deleted(_: BuildState, event: e.BuildDeleted) -> Change:
    removal = Removal(at=event.at, by=event.requested_by, reason=event.reason)
    return {"status": "deleted", "deleted": removal, "artifacts": ()}


def _expired(_: BuildState, event: e.ArtifactsExpired) -> Change:
    return {"expired": Removal(at=event.at, by="retention", reason=event.reason)}


_CHANGES: dict[type[e.BuildEvent], Callable[[BuildState, Any], Change]] = {
    e.StepStarted: _step_started,
    e.StepCompleted: _step_completed,
    e.BuildVerified: _verified,
    e.ArtifactsPublished: _published,
    e.BuildFailed: _failed,
    e.BuildRetried: _retried,
    e.BuildCompleted: _completed,
    e.BuildCancelled: _cancelled,
    e.RetryWindowClosed: _closed,
    e.BuildDeleted: _deleted,
    e.ArtifactsExpired: _expired,
}
