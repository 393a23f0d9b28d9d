"""What the typed clients of definitions have in common: a command is recorded by a short workflow, once for each id."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from workflows import policies
from workflows.define_models import DefineResult
from workflows.jobs import RPC_LIMIT, refused, unavailable


class Definition(NamedTuple):
    """The id of the workflow, made of the definition's and the command's, and what it is in a few words."""

    workflow_id: str
    summary: str


async def define(
    client: Client, run: Callable[..., Awaitable[DefineResult]], start: object, definition: Definition
) -> int:
    """Record a command and answer the definition's version; a repeated command changes nothing.

    Raises:
        Verdict: what the command is refused for (see `domain.*.decide`).
        Fault: `temporal.unavailable`.

    """
    handle: Any
    try:
        handle = await client.start_workflow(
            run,
            start,
            id=definition.workflow_id,
            task_queue=policies.CORE_QUEUE,
            # One that was refused may be asked again: the definition may have changed meanwhile.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=policies.QUESTION_LIMIT,
            static_summary=definition.summary,
            rpc_timeout=RPC_LIMIT,
        )
    except WorkflowAlreadyStartedError:
        handle = client.get_workflow_handle(definition.workflow_id, result_type=DefineResult)
    except RPCError as error:
        raise unavailable(error) from error
    try:
        result: DefineResult = await handle.result()
    except WorkflowFailureError as error:
        raise refused(error, "definition.not_recorded") from error
    except RPCError as error:
        raise unavailable(error) from error
    return result.version
