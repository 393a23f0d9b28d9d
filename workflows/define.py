"""Definitions without long work: one short workflow for each command to a suite."""

from temporalio import workflow

from workflows.define_models import DefineInput, DefineResult
from workflows.recording import record_suite

with workflow.unsafe.imports_passed_through():
    from domain.errors import FactoryError


@workflow.defn(failure_exception_types=[FactoryError])
class DefineWorkflow:
    """Records one command to a suite; its id is the suite's and the command's, so that a repeat answers the same."""

    @workflow.run
    async def run(self, start: DefineInput) -> DefineResult:
        """Decide and append; a command that does not fit fails the workflow with the reason."""
        return DefineResult(version=await record_suite(start.suite_id, start.command))
