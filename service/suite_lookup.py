"""Finding a suite for its caller, and showing it with what is bound to it."""

from domain.caller import Caller
from domain.errors import Verdict
from domain.suite.state import SuiteState
from domain.suite.views import SuiteView
from service.build_view import Detail
from service.factory import Factory
from service.ids import is_build_id
from service.suite_targets import targets_of
from service.suite_view import suite_view


async def existing_suite(factory: Factory, caller: Caller, suite_id: str) -> SuiteState:
    """Return a suite of the caller's organization.

    Raises:
        Verdict: `suite.not_found`; absent and another organization's look the same.

    """
    state = None
    if is_build_id(suite_id):
        async with factory.reads.org(caller.org_id) as reads:
            state = await reads.suites.get(suite_id)
    if state is None:
        raise Verdict.because(
            "suite.not_found",
            "There is no suite with this id.",
            path="suite_id",
            value=suite_id[:64],
            next="Call list_test_suites to see the suites of your organization.",
        )
    return state


async def shown(factory: Factory, caller: Caller, state: SuiteState, *, document: Detail | None = None) -> SuiteView:
    """Describe a suite with what is bound to it now, and its latest run."""
    async with factory.reads.org(caller.org_id) as reads:
        targets = await targets_of(reads, state.bindings)
        runs = (await reads.test_runs.page(limit=1, kind="suite", target_id=state.suite_id)).runs
    return suite_view(state, targets, latest=next(iter(runs), None), document=document)
