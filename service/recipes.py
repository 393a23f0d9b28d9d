"""Recipes: the built-in templates, and judging one before anything is built."""

import re
from collections.abc import Mapping
from typing import Any

from domain.budget import REPLY_BYTES, VIEW_BYTES, size_of, that_fit
from domain.caller import Caller
from domain.canonical import digest
from domain.errors import Verdict
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe
from domain.views import RecipeDetail, RecipeList, RecipeSummary, ValidationView
from service.build_view import clipped
from service.factory import Factory
from service.permissions import require
from service.recipe_catalog import Template
from service.recipe_text import read_recipe
from workflows.commands import ValidateInput

RecipeDocument = Mapping[str, Any] | str
_MOST_PROBLEMS = 20
_TEMPLATE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


async def list_recipes(factory: Factory, caller: Caller) -> RecipeList:
    """List the built-in templates."""
    require(caller, "list_recipes")
    return RecipeList(recipes=tuple(_summary(template) for template in factory.catalog.templates))


async def get_recipe(factory: Factory, caller: Caller, name: str) -> RecipeDetail:
    """Return one template with its canonical recipe.

    Raises:
        Verdict: `recipe.not_found`.

    """
    require(caller, "get_recipe")
    template = factory.catalog.get(name)
    return RecipeDetail(
        name=template.name,
        title=template.title,
        description=template.description,
        recipe=canonical_recipe(template.recipe),
        default_packages=default_packages(template.recipe),
    )


async def validate_recipe(factory: Factory, caller: Caller, document: RecipeDocument) -> ValidationView:
    """Judge a recipe (a document, its YAML or JSON text, or a template's name); starts nothing.

    Packages are looked up by a worker only once the recipe itself is sound: of a wrong one all that
    is wrong with it is told, without asking for packages that may not be meant.
    """
    require(caller, "validate_recipe")
    try:
        recipe = understood(factory, document)
    except Verdict as verdict:
        return _judged(ValidationView(valid=False, problems=verdict.problems))
    canonical = canonical_recipe(recipe)
    result = await factory.workflows.validate_recipe(ValidateInput(recipe=canonical))
    return _judged(
        ValidationView(
            valid=not result.problems,
            problems=result.problems,
            recipe=canonical,
            recipe_digest=digest(canonical),
            default_packages=default_packages(recipe),
        )
    )


def _judged(view: ValidationView) -> ValidationView:
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


def understood(factory: Factory, document: RecipeDocument) -> Recipe:
    """Turn what the caller sent into a recipe.

    Text that is one bare word is a template's name; no recipe's text is.

    Raises:
        Verdict: with every problem at once.

    """
    if isinstance(document, str) and _TEMPLATE_NAME.fullmatch(document.strip()):
        return factory.catalog.get(document.strip()).recipe
    return read_recipe(document)


def canonical_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the canonical document, the one that is digested and built."""
    return recipe.model_dump(mode="json", by_alias=True)


def _summary(template: Template) -> RecipeSummary:
    return RecipeSummary(
        name=template.name,
        title=template.title,
        description=template.description,
        base_image=template.recipe.baseImage,
        packages=len(template.recipe.packages),
        tests=len(template.recipe.tests),
    )
