"""How a `Verdict` or `Fault` crosses Temporal, and how a workflow reads it back.

An activity raises; the interceptor turns that into an `ApplicationError` whose type is the stable
code, whose details carry every problem, and which is non-retryable for a verdict. Match on the type
or the details, never on a class: classes do not survive the wire.
"""

from typing import Any, Literal

from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimedOut
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import FactoryError, Problem
from domain.model import Value

Kind = Literal["verdict", "fault"]


class FailureDetail(Value):
    """What went wrong, as it is carried in a failure's details."""

    kind: Kind
    problems: tuple[Problem, ...]


class TypedFailures(Interceptor):
    """Gives every activity of a worker the mapping above."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Wrap the activity's execution."""
        return _Mapped(next)


class _Mapped(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401 - the SDK's signature
        try:
            return await super().execute_activity(input)
        except FactoryError as error:
            activity.logger.warning("%s", error)
            raise to_application_error(error) from error


def to_application_error(error: FactoryError) -> ApplicationError:
    """Express `error` so that Temporal retries a fault and not a verdict."""
    detail = FailureDetail(kind="fault" if error.retryable else "verdict", problems=error.problems)
    message = "; ".join(p.message for p in error.problems[:5])
    return ApplicationError(message, detail, type=error.code, non_retryable=not error.retryable)


def read_failure(error: FailureError) -> FailureDetail:
    """Tell what an activity's failure means. Anything that is not ours is a fault of the factory."""
    cause = error.cause if isinstance(error, ActivityError) and error.cause is not None else error
    if isinstance(cause, ApplicationError):
        if cause.type is not None and cause.details:
            return FailureDetail.model_validate(cause.details[0])
        return _fault("factory.error", f"{cause.type or 'Error'}: {cause.message}", "Read the log, then retry.")
    if isinstance(cause, ActivityTimedOut):
        return _timed_out(cause)
    return _fault("factory.error", str(cause), "Read the log, then retry.")


def _timed_out(error: ActivityTimedOut) -> FailureDetail:
    if error.type in (TimeoutType.HEARTBEAT, TimeoutType.SCHEDULE_TO_START):
        return _fault(
            "host.lost", "The host that ran this step stopped answering.", "Retry: another host, or this one, goes on."
        )
    return _fault(
        "step.timeout", "The step did not end within its time limit.", "Look at the log for what it waited for."
    )


def _fault(code: str, message: str, next_step: str) -> FailureDetail:
    return FailureDetail(kind="fault", problems=(Problem(code=code, message=message, retryable=True, next=next_step),))
