"""Finding a test run for its caller: absent and another organization's look the same."""

from domain.caller import Caller
from domain.errors import Verdict
from domain.test_run.state import RunState
from service.factory import Factory
from service.ids import is_build_id


async def run_state(factory: Factory, caller: Caller, run_id: str) -> RunState | None:
    """Return a run as the read model shows it, or nothing."""
    async with factory.reads.org(caller.org_id) as reads:
        return await reads.test_runs.get(run_id)


async def visible_run(factory: Factory, caller: Caller, run_id: str) -> RunState | None:
    """Return the run as the read model shows it; nothing for one that was accepted but is not visible yet.

    Raises:
        Verdict: `test_run.not_found`.

    """
    if not is_build_id(run_id):
        raise _not_found(run_id)
    state = await run_state(factory, caller, run_id)
    if state is None and await factory.tests.run_known(run_id, caller.org_id) is None:
        raise _not_found(run_id)
    return state


async def existing_run(factory: Factory, caller: Caller, run_id: str) -> RunState:
    """Return a run that can be read.

    Raises:
        Verdict: `test_run.not_found`.

    """
    state = await visible_run(factory, caller, run_id)
    if state is None:
        raise _not_found(run_id)
    return state


def _not_found(run_id: str) -> Verdict:
    return Verdict.because(
        "test_run.not_found",
        "There is no test run with this id.",
        path="run_id",
        value=run_id[:64],
        next="Call list_test_runs to see the runs of your organization.",
    )
