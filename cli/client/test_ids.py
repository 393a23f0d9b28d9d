"""Suites and test runs by their id, by the beginning of it, by a suite's name, or as `latest`."""

import re
from collections.abc import Sequence
from typing import Final

from cli.client.failures import ClientFailure, UsageFailure
from cli.client.tools import Tools
from domain.errors import Problem
from domain.suite.views import SuitePage
from domain.test_run.views import RunPage

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{2,35}")
_RECENT: Final = 50  # the most that one page holds


async def resolve_suite(session: Tools, given: str) -> str:
    """Return a suite's full id. A name stands for the newest suite of that name.

    Raises:
        UsageFailure: the beginning of several ids.
        ClientFailure: no such suite.

    """
    text = given.strip().removeprefix("suite-")
    if _UUID.fullmatch(text):
        return text
    page = SuitePage.model_validate(await session.call("list_test_suites", {"limit": _RECENT}), extra="ignore")
    named = [suite.suite_id for suite in page.suites if text in {suite.name, "latest"}]
    return named[0] if named else _one("suite", given, [suite.suite_id for suite in page.suites], text.lower())


async def resolve_run(session: Tools, given: str) -> str:
    """Return a run's full id.

    Raises:
        UsageFailure: the beginning of several ids.
        ClientFailure: no such run.

    """
    text = given.strip().lower().removeprefix("test-run-")
    if _UUID.fullmatch(text):
        return text
    page = RunPage.model_validate(await session.call("list_test_runs", {"limit": _RECENT}), extra="ignore")
    if text == "latest" and page.runs:
        return page.runs[0].run_id
    return _one("test-run", given, [run.run_id for run in page.runs], text)


def _one(kind: str, given: str, known: Sequence[str], text: str) -> str:
    found = [identity for identity in known if identity.startswith(text)] if _PREFIX.fullmatch(text) else []
    if len(found) > 1:
        raise UsageFailure(
            Problem(
                code="client.ambiguous",
                message=f"{len(found)} ids begin with {given}.",
                suggestions=tuple(found[:5]),
                next="Give more digits.",
            )
        )
    if not found:
        raise ClientFailure(
            Problem(
                code=f"{kind.replace('-', '_')}.not_found",
                message=f"None of the {_RECENT} newest is {given}.",
                next=f"List them with `openfactory {kind} list`, or give the whole id.",
            )
        )
    return found[0]
