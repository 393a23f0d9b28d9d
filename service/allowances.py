"""What is refused early because an organization has spent its allowance; the log's own count still decides."""

from domain.caller import Caller
from domain.errors import Problem
from domain.metering import check_builds, check_minutes
from domain.plan import plan_of
from service.factory import Factory


async def builds_left(factory: Factory, caller: Caller) -> tuple[Problem, ...]:
    """Tell why the caller may not start a build now, or nothing."""
    allowance = plan_of(caller.plan).allowance
    if allowance is None:
        return ()
    async with factory.reads.org(caller.org_id) as reads:
        return check_builds(caller.plan, allowance, await reads.meters.spent())


async def minutes_left(factory: Factory, caller: Caller, more: int) -> tuple[Problem, ...]:
    """Tell why a machine of the caller's may not live `more` minutes (longer), or nothing."""
    allowance = plan_of(caller.plan).allowance
    if allowance is None:
        return ()
    async with factory.reads.org(caller.org_id) as reads:
        return check_minutes(caller.plan, allowance, await reads.meters.spent(), more)
