"""Looking at suites."""

from domain.caller import Caller
from domain.suite.views import SuitePage, SuiteView
from service.build_view import Detail
from service.factory import Factory
from service.permissions import require
from service.suite_lookup import existing_suite, shown
from service.suite_text import examples
from service.suite_view import summary

MOST_SUITES = 50


async def list_suites(
    factory: Factory, caller: Caller, *, limit: int = 20, cursor: str | None = None, name: str | None = None
) -> SuitePage:
    """List the organization's suites, newest first, and with the first page the built-in examples.

    Raises:
        Verdict: `cursor.invalid`.

    """
    require(caller, "list_test_suites")
    async with factory.reads.org(caller.org_id) as reads:
        page = await reads.suites.page(limit=min(limit, MOST_SUITES), cursor=cursor, name=name)
    return SuitePage(
        suites=tuple(map(summary, page.suites)),
        examples=() if cursor else examples(),
        next_cursor=page.next_cursor,
    )


async def get_suite(factory: Factory, caller: Caller, suite_id: str, detail: Detail = "concise") -> SuiteView:
    """Return a suite with its document; a long one only with `full`.

    Raises:
        Verdict: `suite.not_found`.

    """
    require(caller, "get_test_suite")
    return await shown(factory, caller, await existing_suite(factory, caller, suite_id), document=detail)


async def suite_status(factory: Factory, caller: Caller, suite_id: str) -> SuiteView:
    """Tell whether a suite can be run as it is, and how its latest run went.

    Raises:
        Verdict: `suite.not_found`.

    """
    require(caller, "get_test_suite_status")
    return await shown(factory, caller, await existing_suite(factory, caller, suite_id))
