"""Builds by their id, by the beginning of it, or as `latest`."""

import re
from typing import Final

from cli.client.failures import ClientFailure, UsageFailure
from cli.client.tools import Tools
from domain.errors import Problem
from domain.views import BuildPage

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PREFIX: Final = re.compile(r"[0-9a-f][0-9a-f-]{2,35}")
_RECENT: Final = 50  # the most that one page holds


async def resolve_build(session: Tools, given: str) -> str:
    """Return the build's full id. A prefix is looked up among the 50 newest builds.

    Raises:
        UsageFailure: neither an id nor a prefix of at least three digits, or a prefix of several builds.
        ClientFailure: no such build.

    """
    text = given.strip().lower().removeprefix("build-")
    if _UUID.fullmatch(text):
        return text
    if text != "latest" and not _PREFIX.fullmatch(text):
        raise UsageFailure(
            Problem(
                code="build.bad_id",
                message=f"This is not the id of a build: {given}",
                next="Give an id, its first digits (three or more), or `latest`; `openfactory builds` lists them.",
            )
        )
    answer = await session.call("list_builds", {"limit": 1 if text == "latest" else _RECENT})
    builds = BuildPage.model_validate(answer, extra="ignore").builds
    found = [b.build_id for b in builds if text == "latest" or b.build_id.startswith(text)]
    if not found:
        raise ClientFailure(_none(given))
    if len(found) > 1:
        raise UsageFailure(
            Problem(
                code="build.ambiguous",
                message=f"{len(found)} builds begin with {given}.",
                suggestions=tuple(found[:5]),
                next="Give more digits.",
            )
        )
    return found[0]


def _none(given: str) -> Problem:
    if given == "latest":
        return Problem(
            code="build.not_found",
            message="There is no build yet.",
            next="Start one: openfactory build demo --wait",
        )
    return Problem(
        code="build.not_found",
        message=f"None of the {_RECENT} newest builds begins with {given}.",
        next="List them with `openfactory builds`, or give the whole id.",
    )
