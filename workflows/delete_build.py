"""Deleting a build: one short workflow that records it, once the build's own workflow is over."""

from temporalio import workflow

from workflows.recording import record_build

with workflow.unsafe.imports_passed_through():
    from domain.build.commands import DeleteBuild
    from domain.errors import FactoryError
    from domain.model import Value


class DeleteBuildInput(Value):
    """Which build, by whom, and why."""

    build_id: str
    command: DeleteBuild


@workflow.defn(failure_exception_types=[FactoryError])
class DeleteBuildWorkflow:
    """Its files are removed later, by the collection of what nobody refers to."""

    @workflow.run
    async def run(self, start: DeleteBuildInput) -> int:
        """Record it; a build that has not ended fails the workflow with the reason. Answers the log's version."""
        return await record_build(start.build_id, start.command)
