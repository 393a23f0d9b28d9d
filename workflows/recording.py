"""How a workflow tells the log: a local activity on the core worker, retried until it is written."""

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.record_models import RECORD_BUILD, RecordInput, RecordResult
    from domain.build.commands import BuildCommand


async def record_build(build_id: str, command: BuildCommand) -> int:
    """Append what `command` decides; answers the stream's version. A repeated command changes nothing."""
    result = await workflow.execute_local_activity(
        RECORD_BUILD,
        RecordInput(build_id=build_id, at=workflow.now(), command=command),
        result_type=RecordResult,
        start_to_close_timeout=policies.RECORD_LIMIT,
        retry_policy=policies.RECORD,
        summary=command.kind.replace("_", " "),
    )
    return result.version
