"""Asks for a collection of garbage and waits for it, telling meanwhile what it is at.

What it is at is read from what the workflow engine itself shows of a workflow: that needs neither a worker nor a
query ([ADR 18](docs/adr/0018-the-fleet-is-read-not-queried.md)).
"""

import asyncio
from collections.abc import Callable, Mapping

from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.service import RPCError

from activities.keeping import collect_models as m
from activities.swept import COLLECT_STORE
from domain.errors import Fault
from workflows import policies
from workflows.collect import CollectWorkflow
from workflows.jobs import RPC_LIMIT, refused, unavailable

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
BEGINNING = "waiting for a core worker"
_AT: Mapping[str, str] = {
    m.FIND_EXPIRED: "looking for builds whose files are kept no longer",
    m.SWEEP_OBJECTS: "looking at every object in the store",
    COLLECT_STORE: "looking at the hosts' stores",
}
_IN_BETWEEN = "going on to the next part"
_FOR_HOSTS = "waiting for a host"

_Handle = WorkflowHandle[CollectWorkflow, m.Collected]


async def collect(
    client: Client, workflow_id: str, request: m.CollectInput, tell: Callable[[str], None]
) -> m.Collected:
    """Collect; `tell` is called about once a second with what it is at.

    Raises:
        Verdict, Fault: `gc.not_taken_up` when no worker goes on with it for a minute (it is withdrawn then),
            `temporal.unavailable`, or why it failed.

    """
    tell(BEGINNING)
    try:
        handle: _Handle = await client.start_workflow(
            CollectWorkflow.run,
            request,
            id=workflow_id,
            task_queue=policies.CORE_QUEUE,
            static_summary="What would go" if request.dry_run else "Collect what nobody refers to",
        )
        return await _result(handle, tell)
    except WorkflowFailureError as error:
        raise refused(error, "gc.failed") from error
    except RPCError as error:
        raise unavailable(error) from error


async def _result(handle: _Handle, tell: Callable[[str], None]) -> m.Collected:
    result = asyncio.create_task(handle.result())
    clock = asyncio.get_running_loop().time
    moved = clock()
    try:
        while not (await asyncio.wait({result}, timeout=LOOK_SECONDS))[0]:
            found = await handle.describe(rpc_timeout=RPC_LIMIT)
            if not _lies_idle(found):
                moved = clock()
            elif clock() - moved > PATIENCE_SECONDS:
                await handle.terminate(
                    "no worker went on with it, and who asked waits no longer", rpc_timeout=RPC_LIMIT
                )
                raise _not_taken_up()
            tell(_at(found))
        return result.result()
    finally:
        result.cancel()


def _lies_idle(found: WorkflowExecutionDescription) -> bool:
    """Whether all that it is to do next lies in a queue."""
    raw = found.raw_description
    if found.status != WorkflowExecutionStatus.RUNNING:
        return False
    if raw.HasField("pending_workflow_task"):
        queued = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
        return raw.pending_workflow_task.state == queued
    waiting = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    states = [activity.state for activity in raw.pending_activities]
    return bool(states) and all(state == waiting for state in states)


def _at(found: WorkflowExecutionDescription) -> str:
    names = [activity.activity_type.name for activity in found.raw_description.pending_activities]
    if _lies_idle(found):
        return _FOR_HOSTS if COLLECT_STORE in names else BEGINNING
    return next((_AT[name] for name in names if name in _AT), _IN_BETWEEN)


def _not_taken_up() -> Fault:
    return Fault.because(
        "gc.not_taken_up",
        f"No core worker went on with the collection for {PATIENCE_SECONDS:.0f} s, so it was withdrawn.",
        next="See with ./openfactory status whether the core worker runs, then try again.",
    )
