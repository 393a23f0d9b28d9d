"""How a workflow tells the log: an activity on the core worker, mostly a local one, retried until it is written.

Each function appends what its command decides and answers the stream's version; a repeated command
changes nothing.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from activities import record_models as m
    from domain.build.commands import BuildCommand
    from domain.image.commands import ImageCommand
    from domain.model import Value
    from domain.rebuild.commands import AnyRebuildCommand
    from domain.saved_recipe.commands import RecipeCommand
    from domain.suite.commands import SuiteCommand
    from domain.test_run.commands import TestRunCommand
    from domain.vm.commands import AcceptOrder, VmCommand

_T = TypeVar("_T")


async def outliving_cancel(recording: Coroutine[Any, Any, _T]) -> _T:
    """Record a request to its end, also when the workflow is cancelled meanwhile: what nobody knows of nobody can end.

    Raises:
        asyncio.CancelledError: it was cancelled; the request is recorded.

    """
    task = asyncio.create_task(recording)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not workflow.patched("request-outlives-cancel"):
            task.cancel()
        await task
        raise


async def record_build(build_id: str, command: BuildCommand) -> int:
    """Append to a build."""
    request = m.RecordInput(build_id=build_id, at=workflow.now(), command=command)
    return await _record(m.RECORD_BUILD, request, command.kind)


async def record_vm(vm_id: str, command: VmCommand) -> int:
    """Append to a machine.

    Commands come as updates, which the engine has in memory only until it has a workflow task with them completed. The
    acceptance of one is recorded by an activity of its own, whose start is the end of such a task: were the log told
    before that, and the engine died then, the log would have a command that nobody obeys.
    """
    request = m.RecordVmInput(stream_id=vm_id, at=workflow.now(), command=command)
    written_down = isinstance(command, AcceptOrder) and workflow.patched("accepted-once-written-down")
    return await _record(m.RECORD_VM, request, command.kind, written_down=written_down)


async def record_image(image_id: str, command: ImageCommand) -> int:
    """Append to an uploaded image."""
    request = m.RecordImageInput(stream_id=image_id, at=workflow.now(), command=command)
    return await _record(m.RECORD_IMAGE, request, command.kind)


async def record_suite(suite_id: str, command: SuiteCommand) -> int:
    """Append to a test suite."""
    request = m.RecordSuiteInput(stream_id=suite_id, at=workflow.now(), command=command)
    return await _record(m.RECORD_SUITE, request, command.kind)


async def record_recipe(recipe_id: str, command: RecipeCommand) -> int:
    """Append to a saved recipe."""
    request = m.RecordRecipeInput(stream_id=recipe_id, at=workflow.now(), command=command)
    return await _record(m.RECORD_RECIPE, request, command.kind)


async def record_test_run(run_id: str, command: TestRunCommand) -> int:
    """Append to a test run."""
    request = m.RecordTestRunInput(stream_id=run_id, at=workflow.now(), command=command)
    return await _record(m.RECORD_TEST_RUN, request, command.kind)


async def record_rebuild(schedule_id: str, command: AnyRebuildCommand) -> int:
    """Append to a rebuild schedule."""
    request = m.RecordRebuildInput(stream_id=schedule_id, at=workflow.now(), command=command)
    return await _record(m.RECORD_REBUILD, request, command.kind)


async def _record(activity: str, request: Value, what: str, *, written_down: bool = False) -> int:
    execute = workflow.execute_activity if written_down else workflow.execute_local_activity
    result = await execute(
        activity,
        request,
        result_type=m.RecordResult,
        start_to_close_timeout=policies.RECORD_LIMIT,
        retry_policy=policies.RECORD,
        summary=what.replace("_", " "),
    )
    return result.version
