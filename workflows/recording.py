"""How a workflow tells the log: a local activity on the core worker, retried until it is written."""

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities.record_models import RECORD_BUILD, RECORD_VM, RecordInput, RecordResult, RecordVmInput
    from domain.build.commands import BuildCommand
    from domain.model import Value
    from domain.vm.commands import VmCommand


async def record_build(build_id: str, command: BuildCommand) -> int:
    """Append what `command` decides; answers the stream's version. A repeated command changes nothing."""
    request = RecordInput(build_id=build_id, at=workflow.now(), command=command)
    return await _record(RECORD_BUILD, request, command.kind)


async def record_vm(vm_id: str, command: VmCommand) -> int:
    """Append what `command` decides; answers the stream's version. A repeated command changes nothing."""
    request = RecordVmInput(stream_id=vm_id, at=workflow.now(), command=command)
    return await _record(RECORD_VM, request, command.kind)


async def _record(activity: str, request: Value, what: str) -> int:
    result = await workflow.execute_local_activity(
        activity,
        request,
        result_type=RecordResult,
        start_to_close_timeout=policies.RECORD_LIMIT,
        retry_policy=policies.RECORD,
        summary=what.replace("_", " "),
    )
    return result.version
