"""The question whether a recipe can be built, which needs a host's package indexes."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.failures import read_failure
    from activities.imaging.models import CheckInput, CheckResult
    from workflows.commands import ValidateInput, ValidateResult


@workflow.defn
class ValidateRecipeWorkflow:
    """Solves a recipe's packages on any host and answers every problem."""

    @workflow.run
    async def run(self, question: ValidateInput) -> ValidateResult:
        """Ask one host."""
        try:
            checked = await workflow.execute_activity(
                "check_recipe",
                CheckInput(recipe=question.recipe),
                result_type=CheckResult,
                task_queue=policies.IMAGING_QUEUE,
                schedule_to_close_timeout=policies.QUESTION_LIMIT,
                start_to_close_timeout=policies.QUESTION_LIMIT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.FAULTS,
                summary=f"Check {question.recipe.get('name')}",
            )
        except ActivityError as error:
            detail = read_failure(error)
            raise ApplicationError(
                detail.problems[0].message, detail, type=detail.problems[0].code, non_retryable=True
            ) from error
        return ValidateResult(problems=checked.problems)
