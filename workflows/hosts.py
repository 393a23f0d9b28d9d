"""How a workflow asks hosts to do things: typed, with the queue, limits and retries of its step."""

from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.imaging.models import SurveyInput, SurveyResult
    from activities.job import Job
    from domain.build.steps import StepName
    from domain.model import Value

Result = TypeVar("Result", bound=Value)


async def on_host(  # noqa: PLR0913 - one frame for every step
    queue: str,
    step: StepName,
    activity: str,
    request: Value,
    result: type[Result],
    *,
    summary: str,
    retry: RetryPolicy = policies.FAULTS,
) -> Result:
    """Run a step's activity on the host that owns `queue`.

    A cancelled activity is waited for, so that the host has cleaned up before anything is recorded.
    """
    return await workflow.execute_activity(
        activity,
        request,
        result_type=result,
        task_queue=queue,
        start_to_close_timeout=policies.STEP_LIMIT[step],
        schedule_to_start_timeout=policies.HOST_PICKUP,
        heartbeat_timeout=policies.HEARTBEAT,
        retry_policy=retry,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
    )


async def on_any_host(activity: str, request: Value, result: type[Result], *, summary: str) -> Result:
    """Run a short activity on whichever host takes it first; waits as long as there is none."""
    return await workflow.execute_activity(
        activity,
        request,
        result_type=result,
        task_queue=policies.IMAGING_QUEUE,
        start_to_close_timeout=policies.TAKE_LIMIT,
        heartbeat_timeout=policies.HEARTBEAT,
        retry_policy=policies.FAULTS,
        summary=summary,
    )


async def take_job(queue: str, request: SurveyInput, *, summary: str) -> SurveyResult:
    """Have the host that owns `queue` take a job; it times out soon if that host does not answer."""
    return await workflow.execute_activity(
        "survey_host",
        request,
        result_type=SurveyResult,
        task_queue=queue,
        start_to_close_timeout=policies.TAKE_LIMIT,
        schedule_to_start_timeout=policies.SLOT_PICKUP,
        heartbeat_timeout=policies.HEARTBEAT,
        retry_policy=policies.FAULTS,
        summary=summary,
    )


def job_of(build_id: str, org_id: str, generation: int) -> Job:
    """Name the job for its activities."""
    return Job(job_id=build_id, org_id=org_id, generation=generation)
