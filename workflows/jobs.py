"""What the typed clients have in common: a job is started once for each id, found by its input, and signalled."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import read_failure
from domain.errors import Fault, Verdict
from workflows import policies

RPC_LIMIT = timedelta(seconds=10)
_LONGEST_FAIRNESS_KEY = 64  # bytes, more is refused


def turn_of(org_id: str, kind: int = policies.JOB_TURN) -> Priority:
    """Say how a job's tasks queue: after those of a more urgent kind, and fairly among organizations.

    The urgency is the kind's, never a caller's wish: nobody gets ahead of others by asking.
    """
    return Priority(priority_key=kind, fairness_key=org_id[:_LONGEST_FAIRNESS_KEY])


class JobCard(NamedTuple):
    """What a job is found by in the Temporal UI, and what ties it to its request."""

    workflow_id: str
    kind: str
    state: str
    org_id: str
    name: str
    input_digest: str
    summary: str

    @property
    def memo(self) -> dict[str, str]:
        """What `known_digest` reads."""
        return {"input_digest": self.input_digest, "org_id": self.org_id}

    @property
    def attributes(self) -> TypedSearchAttributes:
        """The search attributes at the start."""
        return TypedSearchAttributes(
            [
                SearchAttributePair(policies.JOB_KIND, self.kind),
                SearchAttributePair(policies.JOB_STATE, self.state),
                SearchAttributePair(policies.ORG_ID, self.org_id),
                SearchAttributePair(policies.RECIPE, self.name),
            ]
        )


async def start_job(client: Client, run: Callable[..., Awaitable[Any]], argument: object, card: JobCard) -> bool:
    """Start a workflow; false if there was one of that id already. That one, running or not, is left as it is.

    Raises:
        Fault: `temporal.unavailable`.

    """
    try:
        await client.start_workflow(
            run,
            argument,
            id=card.workflow_id,
            task_queue=policies.CORE_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            memo=card.memo,
            search_attributes=card.attributes,
            static_summary=card.summary,
            priority=turn_of(card.org_id),
            rpc_timeout=RPC_LIMIT,
        )
    except WorkflowAlreadyStartedError:
        return False
    except RPCError as error:
        raise unavailable(error) from error
    return True


async def known_digest(client: Client, workflow_id: str, org_id: str) -> str | None:
    """Answer the input digest of a job's request, or nothing if this organization has none of that id.

    Raises:
        Fault: `temporal.unavailable`.

    """
    try:
        description = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_LIMIT)
        memo = await description.memo()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            return None
        raise unavailable(error) from error
    return str(memo.get("input_digest")) if memo.get("org_id") == org_id else None


async def signal_job(client: Client, workflow_id: str, name: str, *arguments: object) -> bool:
    """Signal a job; answers false if it is over or never was.

    Raises:
        Fault: `temporal.unavailable`.

    """
    try:
        await client.get_workflow_handle(workflow_id).signal(name, args=arguments, rpc_timeout=RPC_LIMIT)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise unavailable(error) from error
    return True


def unavailable(error: RPCError) -> Fault:
    """Say that the workflow engine does not answer."""
    return Fault.because(
        "temporal.unavailable", f"The workflow engine does not answer: {error.message}", next="Try again shortly."
    )


def refused(error: WorkflowFailureError | WorkflowUpdateFailedError, code: str) -> Verdict | Fault:
    """Read why a short workflow or an update failed; `code` is for what no part of ours raised."""
    cause = error.cause
    if not isinstance(cause, FailureError):
        return Fault.because(code, str(cause), next="Try again shortly.")
    detail = read_failure(cause)
    return (Verdict if detail.kind == "verdict" else Fault)(*detail.problems)
