"""Definitions without long work: one short workflow for each command to a suite or a saved recipe.

Its id is the definition's and the command's, so that a repeat answers the same.
"""

from temporalio import workflow

from workflows.define_models import DefineInput, DefineRecipeInput, DefineResult
from workflows.recording import record_recipe, record_suite

with workflow.unsafe.imports_passed_through():
    from domain.errors import FactoryError


@workflow.defn(failure_exception_types=[FactoryError])
class DefineWorkflow:
    """Records one command to a suite."""

    @workflow.run
    async def run(self, start: DefineInput) -> DefineResult:
        """Decide and append; a command that does not fit fails the workflow with the reason."""
        return DefineResult(version=await record_suite(start.suite_id, start.command))


@workflow.defn(failure_exception_types=[FactoryError])
class DefineRecipeWorkflow:
    """Records one command to a saved recipe."""

    @workflow.run
    async def run(self, start: DefineRecipeInput) -> DefineResult:
        """Decide and append; a command that does not fit fails the workflow with the reason."""
        return DefineResult(version=await record_recipe(start.recipe_id, start.command))
