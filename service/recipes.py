"""Recipes: the built-in templates and the organization's own, and judging one before anything is built."""

from typing import Any, cast

from domain.budget import REPLY_BYTES, VIEW_BYTES, size_of, that_fit
from domain.caller import Caller
from domain.canonical import digest
from domain.errors import RateLimited, Verdict
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe
from domain.saved_recipe.state import SavedRecipeState
from domain.text import clean_untrusted
from domain.views import (
    RecipeCategories,
    RecipeCategory,
    RecipeDetail,
    RecipeList,
    RecipeSummary,
    ValidationView,
)
from service.build_view import clipped
from service.factory import Factory
from service.permissions import require
from service.recipe_catalog import Template
from service.recipe_source import (
    RecipeDocument,
    canonical_recipe,
    fits,
    recipe_link,
    saved_recipe,
    understood,
)
from service.recipe_text import read_recipe
from workflows.commands import ValidateInput

MOST_RECIPES = 30
_LISTED_CHARACTERS = 120
_MOST_PROBLEMS = 20
_MEND = (
    "This factory takes the recipe no longer as it was saved: correct the problems, then call save_recipe with the "
    "whole document and expected_version={version}."
)


async def list_recipes(
    factory: Factory,
    caller: Caller,
    *,
    limit: int = MOST_RECIPES,
    cursor: str | None = None,
    category: str | None = None,
) -> RecipeList:
    """List recipes, of one category or of all: the templates, with the first page, then saved ones by name."""
    require(caller, "list_recipes")
    limit = min(limit, MOST_RECIPES)
    async with factory.reads.org(caller.org_id) as reads:
        saved = await reads.saved_recipes.page(limit=limit + 1, after=cursor or "", category=category)
    built_in = [t for t in factory.catalog.templates if cursor is None and category in (None, t.category)]
    return RecipeList(
        recipes=(*map(_of_template, built_in), *map(_of_saved, saved[:limit])),
        next_cursor=saved[limit - 1].name if len(saved) > limit else None,
    )


async def list_categories(factory: Factory, caller: Caller) -> RecipeCategories:
    """Count the recipes of each category."""
    require(caller, "list_recipe_categories")
    async with factory.reads.org(caller.org_id) as reads:
        saved = await reads.saved_recipes.categories()
    built_in = [template.category for template in factory.catalog.templates]
    names = dict.fromkeys((*built_in, *saved))
    return RecipeCategories(
        categories=tuple(
            RecipeCategory(name=name, built_in=built_in.count(name), saved=saved.get(name, 0)) for name in names
        )
    )


async def get_recipe(factory: Factory, caller: Caller, name: str) -> RecipeDetail:
    """Return one recipe with its canonical document; a saved one that is valid no longer as it is, with its problems.

    Raises:
        Verdict: `recipe.not_found`.

    """
    require(caller, "get_recipe")
    if factory.catalog.has(name):
        template = factory.catalog.get(name)
        return await _detail(factory, _of_template(template), template.recipe)
    saved = await saved_recipe(factory, caller, name)
    summary = _of_saved(saved).model_copy(update={"description": saved.content.description})
    try:
        recipe = read_recipe(saved.content.document)
    except Verdict as verdict:
        shown = await _detail(factory, summary, saved.content.document)
        wrong = that_fit([clipped(problem) for problem in verdict.problems[:_MOST_PROBLEMS]], VIEW_BYTES // 4)
        return shown.model_copy(update={"problems": wrong, "next": _MEND.format(version=saved.version)})
    return await _detail(factory, summary, recipe)


async def _detail(factory: Factory, summary: RecipeSummary, recipe: Recipe | dict[str, Any]) -> RecipeDetail:
    document = canonical_recipe(recipe) if isinstance(recipe, Recipe) else recipe
    small = fits(document)
    return RecipeDetail(
        name=summary.name,
        source=summary.source,
        category=summary.category,
        title=summary.title,
        description=summary.description,
        version=summary.version,
        recipe=document if small else None,
        recipe_digest=digest(document),
        recipe_url=None if small else await recipe_link(factory, document),
        default_packages=default_packages(recipe) if isinstance(recipe, Recipe) else (),
    )


async def validate_recipe(factory: Factory, caller: Caller, document: RecipeDocument) -> ValidationView:
    """Judge a recipe, in any of the forms that `understood` takes; starts nothing.

    Packages are looked up by a worker only once the recipe itself is sound: of a wrong one all that
    is wrong with it is told, without asking for packages that may not be meant.
    """
    require(caller, "validate_recipe")
    try:
        recipe = await understood(factory, caller, document)
    except RateLimited:
        raise  # it says nothing of the recipe
    except Verdict as verdict:
        return _short(ValidationView(valid=False, problems=verdict.problems))
    return _short(await judged(factory, recipe))


async def judged(factory: Factory, recipe: Recipe) -> ValidationView:
    """Have a worker look up the packages of a recipe that is sound in itself."""
    canonical = canonical_recipe(recipe)
    result = await factory.workflows.validate_recipe(ValidateInput(recipe=canonical))
    return ValidationView(
        valid=not result.problems,
        problems=result.problems,
        recipe=canonical,
        recipe_digest=digest(canonical),
        default_packages=default_packages(recipe),
    )


def _short(view: ValidationView) -> ValidationView:
    """Keep the answer small: the first problems, clipped, and the canonical document if it is not huge."""
    cut: list[str] = []
    # Problems are told twice.
    problems = that_fit([clipped(problem) for problem in view.problems[:_MOST_PROBLEMS]], REPLY_BYTES // 3)
    if len(view.problems) > len(problems):
        cut.append(f"{len(view.problems) - len(problems)} more problems")
    shown = view.model_copy(update={"problems": problems})
    if view.recipe is not None and size_of(shown) > VIEW_BYTES:
        shown = shown.model_copy(update={"recipe": None})
        cut.append("the canonical recipe, which is what you sent with its defaults filled in")
    return shown.model_copy(update={"cut": f"Not shown: {'; '.join(cut)}." if cut else None})


def _of_template(template: Template) -> RecipeSummary:
    return RecipeSummary(
        name=template.name,
        category=template.category,
        title=template.title,
        description=template.description,
        base_image=template.recipe.baseImage,
        packages=len(template.recipe.packages),
        tests=len(template.recipe.tests),
    )


def _of_saved(state: SavedRecipeState) -> RecipeSummary:
    """Summarise what is kept, which another release may have saved: one that is refused today hides no other."""
    document = state.content.document
    return RecipeSummary(
        name=state.name,
        source="saved",
        category=state.content.category,
        description=clean_untrusted(state.content.description, _LISTED_CHARACTERS),
        base_image=str(document.get("baseImage", ""))[:_LISTED_CHARACTERS],
        packages=_entries(document, "packages"),
        tests=_entries(document, "tests"),
        version=state.version,
        valid=_is_valid(document),
    )


def _entries(document: dict[str, Any], key: str) -> int:
    found = document.get(key)
    return len(cast("list[object]", found)) if isinstance(found, list) else 0


def _is_valid(document: dict[str, Any]) -> bool:
    try:
        read_recipe(document)
    except Verdict:
        return False
    return True
