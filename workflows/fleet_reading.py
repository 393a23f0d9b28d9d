"""How everybody asks the fleet: by its memo, which the engine itself answers from (ADR 18)."""

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Fault
from workflows.fleet_models import FLEET_ID, FLEET_MEMO, FleetView
from workflows.jobs import unavailable


async def read_fleet(client: Client, limit: timedelta) -> FleetView:
    """Read what the fleet last showed; within `limit`.

    Raises:
        Fault: `fleet.unavailable` when there is none, `temporal.unavailable`.

    """
    try:
        fleet = await client.get_workflow_handle(FLEET_ID).describe(rpc_timeout=limit)
        view = await fleet.memo_value(FLEET_MEMO, None, type_hint=FleetView)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise _absent() from error
        raise unavailable(error) from error
    if view is None or fleet.status != WorkflowExecutionStatus.RUNNING:
        raise _absent()
    return view


def _absent() -> Fault:
    return Fault.because(
        "fleet.unavailable",
        "The fleet, which knows hosts and queues, has not begun yet.",
        next="Try again shortly; `openfactory status` tells whether the core worker is up.",
    )
