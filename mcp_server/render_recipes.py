"""Answers about recipes as short text."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from domain.recipe.difference import Difference
from domain.views import (
    CustomizedRecipe,
    RecipeCategories,
    RecipeDetail,
    RecipeList,
    SavedRecipeView,
    ValidationView,
)
from mcp_server.render_words import one_row, problem_lines


def change_lines(changes: Iterable[Difference]) -> Iterable[str]:
    """Say what is different, a line for each: + added, - removed, ~ changed."""
    for change in changes:
        match change.kind:
            case "added":
                yield f"  + {change.path}: {_json(change.after)}"
            case "removed":
                yield f"  - {change.path}: {_json(change.before)}"
            case "changed":
                yield f"  ~ {change.path}: {_json(change.before)} -> {_json(change.after)}"


def _recipes(view: RecipeList) -> Iterable[str]:
    for recipe in view.recipes:
        kind = recipe.source if recipe.version is None else f"saved, version {recipe.version}"
        words = " ".join(filter(None, (recipe.title and f"{recipe.title}.", one_row(recipe.description))))
        doubt = "" if recipe.valid else ", no longer valid"
        yield f"{recipe.name} ({recipe.base_image}, {recipe.category}, {kind}{doubt}): {words}"
    if view.next_cursor:
        yield f"More: call list_recipes with cursor={view.next_cursor}"
    yield "Call get_recipe with a name to see one, or create_build with recipe set to the name."


def _categories(view: RecipeCategories) -> Iterable[str]:
    for category in view.categories:
        yield f"{category.name}: {category.built_in} built-in, {category.saved} saved"
    yield "Call list_recipes with a category to see its recipes."


def _recipe(view: RecipeDetail) -> Iterable[str]:
    version = f", saved, version {view.version}" if view.version is not None else ""
    yield f"{view.name}{version}: {view.title or one_row(view.description)}"
    if view.problems:
        yield "The recipe is no longer valid, and cannot be built as it is."
        yield from (line for problem in view.problems for line in problem_lines(problem))
        yield f"Next: {view.next}"
    yield _json(view.recipe) if view.recipe is not None else f"The recipe is too large to show: {view.recipe_url}"
    if view.default_packages:
        yield f"Packages added to every such image: {', '.join(view.default_packages)}"


def _validation(view: ValidationView) -> Iterable[str]:
    if view.valid:
        yield "The recipe is valid. It is still a draft: call create_build to build it."
    else:
        yield f"The recipe is not valid: {len(view.problems)} problem(s)."
    yield from (line for problem in view.problems for line in problem_lines(problem))
    if view.valid and view.recipe_digest:
        yield f"Recipe digest {view.recipe_digest}."
    if view.default_packages:
        yield f"Packages added by default: {', '.join(view.default_packages)}"
    if view.cut:
        yield view.cut


def _customized(view: CustomizedRecipe) -> Iterable[str]:
    yield "The changed recipe is valid." if view.valid else f"It is not valid: {len(view.problems)} problem(s)."
    yield from (line for problem in view.problems for line in problem_lines(problem))
    yield f"Changes: {len(view.changes)}"
    yield from change_lines(view.changes)
    if view.recipe_url:
        yield f"The recipe: {view.recipe_url}"
    yield from (line for line in (view.cut, view.next and f"Next: {view.next}") if line)
    if view.recipe is not None:
        yield _json(view.recipe)


def _saved(view: SavedRecipeView) -> Iterable[str]:
    replayed = " (this request was made before)" if view.replayed else ""
    what = "deleted" if view.deleted else "saved"
    yield f"Recipe {view.name} is {what}, version {view.version}, category {view.category}{replayed}."
    if view.next:
        yield f"Next: {view.next}"


def _json(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


WRITERS: dict[type[BaseModel], Callable[[Any], Iterable[str]]] = {
    RecipeList: _recipes,
    RecipeCategories: _categories,
    RecipeDetail: _recipe,
    ValidationView: _validation,
    CustomizedRecipe: _customized,
    SavedRecipeView: _saved,
}
