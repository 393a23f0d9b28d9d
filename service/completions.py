"""What a half-typed argument may become."""

import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

from domain.build.names import BuildTag
from domain.build.steps import STEPS
from domain.caller import Caller
from domain.model import Value
from domain.recipe.schema import BaseImage
from service.factory import Factory
from service.permissions import require

Completed = Literal["recipe", "base_image", "build", "step", "test_run"]
_MOST = 50
_TAGS: Final = {"latest": BuildTag(), "latest-verified": BuildTag(verified=True)}  # as `domain.build.names` has them
_BEGINNING = re.compile(r"[ -~]{0,200}")  # no id and no name has anything else


class Completions(Value):
    """What fits, best first; `more` tells that not all of it is here."""

    values: tuple[str, ...] = ()
    more: bool = False


async def complete(factory: Factory, caller: Caller, what: Completed, typed: str) -> Completions:
    """Return what begins like `typed`: names, or ids of builds and runs by their id or name, the newest first.

    Tags of builds are among them while they stand for one.

    Raises:
        Verdict: `permission.denied`.

    """
    beginning = typed.lower()
    match what:
        case "recipe":
            return await _recipes(factory, caller, beginning)
        case "build" | "test_run":
            return await _jobs(factory, caller, what, beginning)
        case "step":
            return _first(_fitting(STEPS, beginning))
        case "base_image":
            return _first(_fitting(get_args(BaseImage), beginning))


async def _recipes(factory: Factory, caller: Caller, beginning: str) -> Completions:
    require(caller, "list_recipes")
    if not _BEGINNING.fullmatch(beginning):
        return Completions()
    built_in = _fitting([template.name for template in factory.catalog.templates], beginning)
    async with factory.reads.org(caller.org_id) as reads:
        saved = await reads.saved_recipes.names(beginning, limit=_MOST + 1)
    return _first([*built_in, *saved])


async def _jobs(factory: Factory, caller: Caller, what: Literal["build", "test_run"], beginning: str) -> Completions:
    require(caller, "list_builds" if what == "build" else "list_test_runs")
    if not _BEGINNING.fullmatch(beginning):
        return Completions()
    async with factory.reads.org(caller.org_id) as reads:
        if what == "test_run":
            return _first(await reads.test_runs.called(beginning, limit=_MOST + 1))
        tags = [tag for tag, meant in _TAGS.items() if tag.startswith(beginning) and await reads.builds.newest(meant)]
        return _first([*tags, *await reads.builds.called(beginning, limit=_MOST + 1)])


def _fitting(words: Sequence[str], beginning: str) -> list[str]:
    return [word for word in words if word.startswith(beginning)]


def _first(found: Sequence[str]) -> Completions:
    return Completions(values=tuple(found[:_MOST]), more=len(found) > _MOST)
