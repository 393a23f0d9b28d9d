"""What the workflow engine remembers of closed runs (`histories.RunHistories`), asked of Temporal."""

from datetime import datetime, timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from activities.keeping.histories import ClosedRun
from domain.errors import Fault

_RPC_LIMIT = timedelta(seconds=30)
_JOBS = "WorkflowType IN ('BuildWorkflow', 'VmWorkflow', 'TestRunWorkflow', 'ImageWorkflow')"


class TemporalHistories:
    """Lists by the engine's index, which lags a little; histories come by run."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def closed(self, since: datetime | None) -> list[ClosedRun]:
        """List the runs of jobs that closed since then, oldest first."""
        query = f"{_JOBS} AND ExecutionStatus != 'Running'"
        if since is not None:
            query += f" AND CloseTime >= '{since.isoformat()}'"
        try:
            listed = [run async for run in self._client.list_workflows(query, rpc_timeout=_RPC_LIMIT)]
        except RPCError as error:
            raise _unavailable(error) from error
        found = (ClosedRun(r.id, r.run_id, r.start_time, r.close_time) for r in listed if r.close_time is not None)
        return sorted(found, key=lambda run: (run.closed, run.run_id))

    async def history(self, run: ClosedRun) -> str:
        """Return a run's history as JSON."""
        handle = self._client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
        try:
            return (await handle.fetch_history(rpc_timeout=_RPC_LIMIT)).to_json()
        except RPCError as error:
            raise _unavailable(error) from error


def _unavailable(error: RPCError) -> Fault:
    return Fault.because("temporal.unavailable", f"The workflow engine does not answer: {error.message}")
