"""What the workflow engine knows of workflows (`ports.WorkflowEngine`), asked of Temporal."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowHistoryEventFilterType,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.keeping.models import End
from activities.keeping.ports import Ended
from domain.errors import Fault

_RPC_LIMIT = timedelta(seconds=10)
_LONGEST_REASON = 300
_MOST_EARLY = 10_000  # more than may wait at a time; most of them are recorded by the next look
_ENDS: Final[dict[WorkflowExecutionStatus, End]] = {
    WorkflowExecutionStatus.COMPLETED: "completed",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.TIMED_OUT: "timed_out",
}
_WORDS: Final[dict[End, str]] = {
    "completed": "its workflow ended without saying so",
    "failed": "its workflow failed",
    "cancelled": "its workflow was cancelled",
    "terminated": "its workflow was terminated",
    "timed_out": "its workflow ran out of time",
    "gone": "the workflow engine does not know its workflow any more",
}


class TemporalEngine:
    """Asks by id: that is answered from what is certain, where lists are answered from an index that lags."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ended(self, workflow_id: str) -> Ended | None:
        """Tell how the workflow is over; nothing while its latest run goes on."""
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)
        try:
            status = (await handle.describe(rpc_timeout=_RPC_LIMIT)).status
            if status is None or status not in _ENDS:  # running, paused, or going on as new
                return None
            return Ended(_ENDS[status], await self._reason(handle, _ENDS[status]))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _unavailable(error) from error
        await self._require_namespace()
        return Ended("gone", _WORDS["gone"])

    async def ended_early(self, since: datetime) -> tuple[str, ...]:
        """Name the workflows that were ended from outside since then while their jobs waited to begin.

        Cancelled ones are among them for runs of older code, which records no request that is cancelled meanwhile.
        """
        query = (
            'ExecutionStatus IN ("Terminated", "TimedOut", "Canceled") AND JobState IN ("pending", "uploading") '
            f'AND CloseTime > "{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"'
        )
        try:
            found = self._client.list_workflows(query, limit=_MOST_EARLY, rpc_timeout=_RPC_LIMIT)
            return tuple({execution.id: None async for execution in found})
        except RPCError as error:
            raise _unavailable(error) from error

    async def request_of(self, workflow_id: str) -> dict[str, Any]:
        """Return the request that the job's workflow was started with: its history begins with that."""
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)
        try:
            events = handle.fetch_history_events(page_size=1, rpc_timeout=_RPC_LIMIT)
            first = await anext(aiter(events))
        except RPCError as error:
            raise _unavailable(error) from error
        payloads = first.workflow_execution_started_event_attributes.input.payloads
        [start] = await self._client.data_converter.decode(payloads)
        return cast("dict[str, dict[str, Any]]", start)["request"]

    async def hosts(self) -> tuple[str, ...]:
        """Tell the task queues of the hosts that are up, as the fleet sees them."""
        fleet: WorkflowHandle[object, object] = self._client.get_workflow_handle("fleet")
        try:
            shown = await (await fleet.describe(rpc_timeout=_RPC_LIMIT)).memo_value("fleet", {"hosts": []})
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return ()
            raise _unavailable(error) from error
        view = cast("dict[str, list[dict[str, object]]]", shown)
        return tuple(str(host["queue"]) for host in view["hosts"] if host["up"])

    async def _reason(self, handle: WorkflowHandle[object, object], end: End) -> str:
        """Say how it ended, with the words of whoever or whatever ended it."""
        only = WorkflowHistoryEventFilterType.CLOSE_EVENT
        said = ""
        async for event in handle.fetch_history_events(event_filter_type=only, rpc_timeout=_RPC_LIMIT):
            said = _said(event)
        return f"{_WORDS[end]}: {said[:_LONGEST_REASON]}" if said else _WORDS[end]

    async def _require_namespace(self) -> None:
        """Make sure that only the workflow is unknown: in a namespace that is not there, all of them are."""
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._client.workflow_service.describe_namespace(request, timeout=_RPC_LIMIT)
        except RPCError as error:
            raise _unavailable(error) from error


def _said(event: HistoryEvent) -> str:
    if event.HasField("workflow_execution_terminated_event_attributes"):
        return event.workflow_execution_terminated_event_attributes.reason
    if event.HasField("workflow_execution_failed_event_attributes"):
        return event.workflow_execution_failed_event_attributes.failure.message
    return ""


def _unavailable(error: RPCError) -> Fault:
    return Fault.because("temporal.unavailable", f"The workflow engine does not answer: {error.message}")
