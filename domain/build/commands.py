"""What a build's workflow may tell the log. Each command is decided against what the log holds."""

from typing import Literal

from domain.artifacts import Artifact
from domain.build.inputs import BuildRequest
from domain.build.steps import StepName
from domain.errors import Problem
from domain.model import Value
from domain.verification import VerificationReport


class RequestBuild(Value):
    """The first fact of a build."""

    kind: Literal["request"] = "request"
    request: BuildRequest


class StartStep(Value):
    """A step begins."""

    kind: Literal["start_step"] = "start_step"
    step: StepName
    generation: int
    host: str | None = None


class CompleteStep(Value):
    """A step ended well. `seconds` is its duration."""

    kind: Literal["complete_step"] = "complete_step"
    step: StepName
    generation: int
    seconds: float
    cached: bool
    summary: str


class RecordVerification(Value):
    """The machines were checked."""

    kind: Literal["record_verification"] = "record_verification"
    generation: int
    reports: tuple[VerificationReport, ...]


class RecordArtifacts(Value):
    """The artifacts are in the object store."""

    kind: Literal["record_artifacts"] = "record_artifacts"
    generation: int
    artifacts: tuple[Artifact, ...]


class FailBuild(Value):
    """A step cannot be done. `retry_seconds` is how long the build waits for a retry."""

    kind: Literal["fail"] = "fail"
    step: StepName
    generation: int
    cause: Literal["verdict", "fault"]
    problems: tuple[Problem, ...]
    retry_seconds: float


class RetryBuild(Value):
    """Go on from the failed step, as the next generation."""

    kind: Literal["retry"] = "retry"
    generation: int
    requested_by: str
    command_id: str


class CompleteBuild(Value):
    """Built, and every required test passed."""

    kind: Literal["complete"] = "complete"


class CancelBuild(Value):
    """End the build."""

    kind: Literal["cancel"] = "cancel"
    requested_by: str
    reason: str


class CloseRetryWindow(Value):
    """Nobody retried in time."""

    kind: Literal["close_retry_window"] = "close_retry_window"


class DeleteBuild(Value):
    """Forget the files of a build that has ended."""

    kind: Literal["delete"] = "delete"
    requested_by: str
    reason: str


class ExpireArtifacts(Value):
    """The plan keeps the files of a build that has ended no longer."""

    kind: Literal["expire_artifacts"] = "expire_artifacts"
    reason: str


BuildCommand = (
    RequestBuild
    | StartStep
    | CompleteStep
    | RecordVerification
    | RecordArtifacts
    | FailBuild
    | RetryBuild
    | CompleteBuild
    | CancelBuild
    | CloseRetryWindow
    | DeleteBuild
    | ExpireArtifacts
)
