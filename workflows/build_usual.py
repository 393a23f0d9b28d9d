"""How long a recipe's builds usually take, for the page in the Temporal UI. Nothing waits for it."""

from datetime import timedelta

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.usual_models import FIND_USUAL, FindUsual, UsualFound
    from domain.build.inputs import BuildRequest
    from domain.build.progress import StepDuration

_LOOK_LIMIT = timedelta(seconds=10)


async def usual_durations(request: BuildRequest) -> tuple[StepDuration, ...]:
    """Ask what the front asks when it measures a build.

    Raises:
        ActivityError: the database does not answer.

    """
    found = await workflow.execute_local_activity(
        FIND_USUAL,
        FindUsual(org_id=request.org_id, recipe=str(request.recipe.get("name", ""))),
        result_type=UsualFound,
        start_to_close_timeout=_LOOK_LIMIT,
        retry_policy=policies.QUESTION_ATTEMPTS,
        summary="usual durations",
    )
    return found.durations
