"""From what a caller sends to a recipe: a document, its text, a template's or saved recipe's name, or a build."""

import re
from collections.abc import Mapping
from typing import Any

from domain.build.names import read_build_name
from domain.caller import Caller
from domain.canonical import canonical_json
from domain.errors import Verdict
from domain.recipe.keys import close
from domain.recipe.schema import Recipe
from domain.saved_recipe.state import SavedRecipeState
from service.downloads import sign_document
from service.factory import Factory
from service.ids import derived_id
from service.lookup import build_id_of, visible_build
from service.recipe_text import read_recipe

RecipeDocument = Mapping[str, Any] | str
RECIPE_BYTES = 6_000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_BUILD = re.compile(r"build:\S{1,200}")
_MOST_NAMES = 50


async def understood(factory: Factory, caller: Caller, document: RecipeDocument) -> Recipe:
    """Turn what the caller sent into a recipe.

    Text that is one bare word is a recipe's name, and `build:<name>` means that build's recipe; no recipe's text is
    either. A built-in template goes before a saved recipe of its name.

    Raises:
        Verdict: with every problem at once; `recipe.not_found` or `build.not_found` for a name, `RateLimited` for
            one whose recipe is more than the caller may send now.

    """
    if isinstance(document, str):
        word = document.strip()
        if _NAME.fullmatch(word):
            return _as_if_sent(factory, caller, await named_recipe(factory, caller, word))
        if _BUILD.fullmatch(word):
            return _as_if_sent(factory, caller, read_recipe(await recipe_of_build(factory, caller, word)))
    return read_recipe(document)


def _as_if_sent(factory: Factory, caller: Caller, recipe: Recipe) -> Recipe:
    """Charge what a name stands for: it is written down again as a whole, however short the call was."""
    factory.limits.sent(caller, len(canonical_json(canonical_recipe(recipe))))
    return recipe


async def may_have_meant(
    factory: Factory, caller: Caller, document: RecipeDocument | None, recipe: Mapping[str, Any]
) -> bool:
    """Whether it is a name that can have stood for this recipe when it was asked for, whatever it stands for today.

    Raises:
        Verdict: `build.not_found` for what names no build in any way.

    """
    word = document.strip() if isinstance(document, str) else ""
    if not _BUILD.fullmatch(word):
        return bool(_NAME.fullmatch(word)) and word == recipe["name"]
    named = read_build_name(word)
    if named.build_id is None:
        return named.tag is None or named.tag.recipe in {None, recipe["name"]}
    async with factory.reads.org(caller.org_id) as reads:
        state = await reads.builds.get(named.build_id)
    return state is not None and state.recipe == recipe


async def named_recipe(factory: Factory, caller: Caller, name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
        Verdict: `recipe.not_found`, with similar names.

    """
    if factory.catalog.has(name):
        return factory.catalog.get(name).recipe
    return read_recipe((await saved_recipe(factory, caller, name)).content.document)


async def saved_recipe(factory: Factory, caller: Caller, name: str) -> SavedRecipeState:
    """Return the organization's saved recipe of this name.

    Raises:
        Verdict: `recipe.not_found`, with similar names, built-in ones among them.

    """
    state = await saved_state(factory, caller, name)
    if state is not None and not state.deleted:
        return state
    async with factory.reads.org(caller.org_id) as reads:
        saved = [known.name for known in await reads.saved_recipes.page(limit=_MOST_NAMES)]
    known = [*saved, *(template.name for template in factory.catalog.templates)]
    raise Verdict.because(
        "recipe.not_found",
        f"there is no recipe `{name[:64]}`, built-in or saved",
        path="name",
        value=name[:64],
        suggestions=close(name, known) or tuple(known[:8]),
        next="list_recipes",
    )


async def saved_state(factory: Factory, caller: Caller, name: str) -> SavedRecipeState | None:
    """Return a saved recipe as the read model shows it, also a deleted one; nothing for what cannot be a name."""
    if not _NAME.fullmatch(name):
        return None
    async with factory.reads.org(caller.org_id) as reads:
        return await reads.saved_recipes.get(recipe_id_of(caller, name))


def recipe_id_of(caller: Caller, name: str) -> str:
    """Name the stream of a saved recipe: one for each name of an organization, so that no name is taken twice."""
    return derived_id(caller.org_id, "saved_recipe", name)


async def recipe_of_build(factory: Factory, caller: Caller, name: str) -> dict[str, Any]:
    """Return the canonical recipe of a build.

    Raises:
        Verdict: `build.not_found`, or `build.starting` while it cannot be read yet.

    """
    state = await visible_build(factory, caller, await build_id_of(factory, caller, name))
    if state is None:
        raise Verdict.because(
            "build.starting", "This build is only just starting.", path="recipe", next="Call again in a moment."
        )
    return state.recipe


def canonical_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the canonical document, the one that is digested and built."""
    return recipe.model_dump(mode="json", by_alias=True)


def fits(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is small enough for an answer."""
    return len(canonical_json(document)) <= RECIPE_BYTES


async def recipe_link(factory: Factory, document: Mapping[str, Any]) -> str:
    """Put a document that is too large for an answer where a link of one hour finds it.

    The object is named by its digest and belongs to no build: it is removed as anything that nobody refers to.
    """
    data = canonical_json(document)
    return await sign_document(factory, data, "recipe.json")
