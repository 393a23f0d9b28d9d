"""Changing a recipe without writing it anew: a merge patch, named edits, and what comes out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from domain.caller import Caller
from domain.canonical import canonical_json
from domain.errors import Problem, Verdict
from domain.recipe.difference import Difference, differences
from domain.recipe.edits import Edit, apply_edits
from domain.recipe.keys import as_mapping, normalise, too_deep
from domain.recipe.merge_patch import merge_patch
from domain.recipe.problems import nested_too_deep
from domain.recipe.schema import MAX_BYTES
from domain.views import CustomizedRecipe
from service.build_view import clipped
from service.factory import Factory
from service.permissions import require
from service.recipe_source import RecipeDocument, canonical_recipe, fits, recipe_link, understood
from service.recipe_text import read_recipe
from service.recipes import judged

_MOST_PROBLEMS = 12
_MOST_CHANGES = 25
_CHANGE_BYTES = 120


async def customize_recipe(
    factory: Factory,
    caller: Caller,
    start: RecipeDocument,
    *,
    patch: Mapping[str, Any] | None = None,
    edits: Sequence[Edit] = (),
) -> CustomizedRecipe:
    """Apply a JSON merge patch (RFC 7386), then named edits, to a recipe; keeps and starts nothing.

    Everything that is wrong with the changes and with what comes out is told at once.

    Raises:
        Verdict: what is wrong with the recipe to start from.

    """
    require(caller, "customize_recipe")
    before = canonical_recipe(await understood(factory, caller, start))
    problems: list[Problem] = []
    deep = too_deep(patch)
    spelt: object = normalise(as_mapping(patch), problems) if patch and not deep else {}
    problems = [p.model_copy(update={"path": f"patch.{p.path}"}) for p in problems]
    if deep:
        problems.append(nested_too_deep("patch"))
    after, wrong = apply_edits(merge_patch(before, spelt), edits)
    return await _answer(factory, before, after, (*problems, *wrong))


async def _answer(
    factory: Factory, before: Mapping[str, Any], after: dict[str, Any], wrong: tuple[Problem, ...]
) -> CustomizedRecipe:
    try:
        recipe = read_recipe(after)
    except Verdict as verdict:
        view = CustomizedRecipe(valid=False, problems=(*wrong, *verdict.problems), recipe=after)
        if not _can_be_sent(after):
            short = await _short(factory, view.model_copy(update={"recipe": None, "next": _next(view, ())}))
            return short.model_copy(update={"cut": "Not shown: the recipe, which holds what JSON cannot."})
    else:
        found = await judged(factory, recipe)
        view = CustomizedRecipe(
            valid=found.valid and not wrong,
            problems=(*wrong, *found.problems),
            recipe=found.recipe,
            recipe_digest=found.recipe_digest,
            default_packages=found.default_packages,
        )
    changes = differences(before, view.recipe or after)
    return await _short(factory, view.model_copy(update={"changes": changes, "next": _next(view, changes)}))


def _can_be_sent(document: Mapping[str, Any]) -> bool:
    try:
        canonical_json(document)
    except ValueError:
        return False
    return True


async def _short(factory: Factory, view: CustomizedRecipe) -> CustomizedRecipe:
    cut: list[str] = []
    if len(view.problems) > _MOST_PROBLEMS:
        cut.append(f"{len(view.problems) - _MOST_PROBLEMS} more problems")
    if len(view.changes) > _MOST_CHANGES:
        cut.append(f"{len(view.changes) - _MOST_CHANGES} more changes")
    update: dict[str, object] = {
        "problems": tuple(clipped(problem) for problem in view.problems[:_MOST_PROBLEMS]),
        "changes": tuple(map(short_change, view.changes[:_MOST_CHANGES])),
    }
    if view.recipe is not None and len(canonical_json(view.recipe)) > MAX_BYTES:
        cut.append("the recipe itself, which has more bytes than any recipe may have")
        update |= {"recipe": None}
    elif view.recipe is not None and not fits(view.recipe):
        cut.append("the recipe itself, which is behind recipe_url")
        update |= {"recipe": None, "recipe_url": await recipe_link(factory, view.recipe)}
    return view.model_copy(update={**update, "cut": f"Not shown: {'; '.join(cut)}." if cut else None})


def short_change(change: Difference) -> Difference:
    """Show values that are too large for an answer by their beginning."""
    shown = {name: _short_value(getattr(change, name)) for name in ("before", "after")}
    return change.model_copy(update={"path": change.path[:_CHANGE_BYTES], **shown})


def _short_value(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    if len(canonical_json(value)) <= _CHANGE_BYTES:
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:_CHANGE_BYTES]}…"


def _next(view: CustomizedRecipe, changes: tuple[Difference, ...]) -> str:
    if not view.valid:
        return "Correct what problems name, and call customize_recipe again with the same start."
    if not changes:
        return "Nothing is different: the changes ask for what the recipe says already."
    return "It is still a draft: call create_build with this recipe, or save_recipe to keep it under its name."
