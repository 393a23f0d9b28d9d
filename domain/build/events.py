"""The facts of a build. Names are versioned and never depend on a class path."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from domain.artifacts import Artifact, Blob
from domain.build.inputs import VerifyPolicy
from domain.build.steps import StepName
from domain.errors import Problem
from domain.event import Event
from domain.verification import VerificationReport


class BuildEvent(Event):
    """A fact about one build."""

    build_id: str


class BuildRequested(BuildEvent):
    """Someone asked for a build. `recipe` is the canonical document; `why` is what a schedule says about it.

    `lock` is the list of packages of the build that `rerun_of` names; the object must be kept until this build is over.
    """

    NAME = "build.requested.v1"
    requested_by: str
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


class StepStarted(BuildEvent):
    """A step began on a host. `generation` counts the retries of the build."""

    NAME = "build.step_started.v1"
    step: StepName
    generation: int
    host: str | None = None


class StepCompleted(BuildEvent):
    """A step ended well. `cached` says that an earlier result was adopted; `summary` is one line."""

    NAME = "build.step_completed.v1"
    step: StepName
    generation: int
    seconds: float
    cached: bool
    summary: str


class BuildVerified(BuildEvent):
    """The booted artifacts were checked, or evidence was taken over; whether they passed is in the reports."""

    NAME = "build.verified.v1"
    generation: int
    reports: tuple[VerificationReport, ...]


class ArtifactsPublished(BuildEvent):
    """The artifacts are in the object store and their digests were read back."""

    NAME = "build.artifacts_published.v1"
    generation: int
    artifacts: tuple[Artifact, ...]


class BuildFailed(BuildEvent):
    """A step could not be done. The build is parked and can be retried until `retry_until`.

    `kind` tells a wrong recipe or image (`verdict`) from a factory that did not work (`fault`).
    """

    NAME = "build.failed.v1"
    step: StepName
    generation: int
    kind: Literal["verdict", "fault"]
    problems: tuple[Problem, ...]
    retry_until: datetime


class BuildRetried(BuildEvent):
    """The build goes on from the step that failed. `command_id` makes a repeated command harmless."""

    NAME = "build.retried.v1"
    generation: int
    from_step: StepName
    requested_by: str
    command_id: str


class BuildCompleted(BuildEvent):
    """Built, and every required test passed."""

    NAME = "build.completed.v1"
    seconds: float


class BuildCancelled(BuildEvent):
    """Ended because someone asked, or because its workflow was ended from outside."""

    NAME = "build.cancelled.v1"
    requested_by: str
    reason: str


class RetryWindowClosed(BuildEvent):
    """A failed build can no longer be retried."""

    NAME = "build.retry_window_closed.v1"


class BuildDeleted(BuildEvent):
    """Somebody deleted the build: nobody can have its files any more. That it was, stays known."""

    NAME = "build.deleted.v1"
    requested_by: str
    reason: str


class ArtifactsExpired(BuildEvent):
    """The time is over for which the plan keeps the build's files. The record stays."""

    NAME = "build.artifacts_expired.v1"
    reason: str


AnyBuildEvent = Annotated[
    BuildRequested
    | StepStarted
    | StepCompleted
    | BuildVerified
    | ArtifactsPublished
    | BuildFailed
    | BuildRetried
    | BuildCompleted
    | BuildCancelled
    | RetryWindowClosed
    | BuildDeleted
    | ArtifactsExpired,
    Field(union_mode="smart"),
]

BUILD_EVENTS: dict[str, type[BuildEvent]] = {
    cls.NAME: cls
    for cls in (
        BuildRequested,
        StepStarted,
        StepCompleted,
        BuildVerified,
        ArtifactsPublished,
        BuildFailed,
        BuildRetried,
        BuildCompleted,
        BuildCancelled,
        RetryWindowClosed,
        BuildDeleted,
        ArtifactsExpired,
    )
}
