"""How other workflows tell the fleet."""

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows import policies

with workflow.unsafe.imports_passed_through():
    from domain.model import Value
    from workflows.fleet_models import FLEET_ID


async def tell_fleet(name: str, value: Value) -> None:
    """Signal the fleet; one that is not there is waited for, for nothing can be decided without it."""
    while not await try_telling_fleet(name, value):
        await workflow.sleep(policies.FLEET_ABSENCE, summary="The fleet is not there")


async def try_telling_fleet(name: str, value: Value) -> bool:
    """Signal the fleet; false if it is not there."""
    try:
        await workflow.get_external_workflow_handle(FLEET_ID).signal(name, value)
    except FailureError as error:
        workflow.logger.warning("the fleet is not there: %s", error)
        return False
    return True
