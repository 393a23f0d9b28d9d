"""What a half-typed argument may become."""

from typing import Literal, get_args

from domain.build.steps import STEPS
from domain.caller import Caller
from domain.model import Value
from domain.recipe.schema import BaseImage
from service import build_queries, recipes, test_run_queries
from service.factory import Factory
from service.test_run_queries import RunQuery

Completed = Literal["recipe", "base_image", "build", "step", "test_run"]
_MOST = 50


class Completions(Value):
    """What fits, best first."""

    values: tuple[str, ...] = ()


async def complete(factory: Factory, caller: Caller, what: Completed, typed: str) -> Completions:
    """Return what begins like `typed`: names, or ids of the newest builds and runs by their id or name.

    Raises:
        Verdict: `permission.denied`.

    """
    if what == "build":
        page = await build_queries.list_builds(factory, caller, limit=_MOST)
        return _fitting([(build.build_id, build.name) for build in page.builds], typed)
    if what == "test_run":
        runs = await test_run_queries.list_runs(factory, caller, RunQuery(limit=_MOST))
        return _fitting([(run.run_id, run.name) for run in runs.runs], typed)
    if what == "recipe":
        listed = await recipes.list_recipes(factory, caller)
        return _fitting([(recipe.name, recipe.name) for recipe in listed.recipes], typed)
    words = STEPS if what == "step" else get_args(BaseImage)
    return _fitting([(word, word) for word in words], typed)


def _fitting(choices: list[tuple[str, str]], typed: str) -> Completions:
    begun = typed.lower()
    return Completions(values=tuple(v for v, name in choices if v.startswith(begun) or name.startswith(begun)))
