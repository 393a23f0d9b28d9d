"""How a workflow says no to who asked."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail


def refused(detail: FailureDetail) -> ApplicationError:
    """Make a refusal of problems, in the form in which failures cross Temporal; it is never retried."""
    problem = detail.problems[0]
    return ApplicationError(problem.message, detail, type=problem.code, non_retryable=True)
