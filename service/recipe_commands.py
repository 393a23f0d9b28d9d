"""Keeping a recipe under its name, and forgetting it; each is recorded once for each request key."""

from contextlib import suppress

from domain.caller import Caller
from domain.canonical import digest
from domain.errors import Fault, Verdict
from domain.model import Value
from domain.plan import check_recipes, plan_of
from domain.saved_recipe.commands import AnyRecipeCommand, DeleteRecipe, SaveRecipe
from domain.saved_recipe.decide import refuse_reuse
from domain.saved_recipe.inputs import DEFAULT_CATEGORY, RecipeContent
from domain.saved_recipe.state import SavedRecipeState
from domain.views import SavedRecipeView
from service.build_create import VISIBLE_SECONDS
from service.factory import Factory
from service.ids import derived_id
from service.model_errors import problems_of
from service.permissions import require
from service.recipe_source import RecipeDocument, canonical_recipe, recipe_id_of, saved_recipe, saved_state, understood


class SaveWish(Value):
    """What is said about a recipe that is kept. What is None stays as it is, and has a default in a new one."""

    description: str | None = None
    category: str | None = None
    expected_version: int | None = None


async def save_recipe(
    factory: Factory, caller: Caller, document: RecipeDocument, wish: SaveWish, *, request_key: str | None = None
) -> SavedRecipeView:
    """Keep a recipe under its own name. Replacing one takes the version that is replaced.

    The same request key with the same content changes nothing. Packages are not looked up: a recipe may be kept
    while it cannot be built.

    Raises:
        Verdict: everything that is wrong with the recipe, `recipe.built_in`, `recipe.exists`, `recipe.quota`,
            `recipe.version_conflict` or `request_key.reused`.

    """
    require(caller, "save_recipe")
    recipe = canonical_recipe(await understood(factory, caller, document))
    name = str(recipe["name"])
    _refuse_built_in(factory, name, f"Give it another name: customize_recipe with patch {{name: my-{name}}}.")
    recipe_id = recipe_id_of(caller, name)
    state = await saved_state(factory, caller, name)
    known = None if state is None or state.deleted else state.content
    with problems_of("recipe.bad_value"):
        content = RecipeContent.model_validate(
            {
                "document": recipe,
                "description": _kept(wish.description, known and known.description, ""),
                "category": _kept(wish.category, known and known.category, DEFAULT_CATEGORY),
            }
        )
    command = SaveRecipe(
        command_id=_command_id(factory, "save_recipe", recipe_id, request_key),
        recipe_id=recipe_id,
        org_id=caller.org_id,
        requested_by=caller.subject,
        expected_version=wish.expected_version or 0,
        content=content,
        input_digest=digest({"document": recipe, "description": wish.description, "category": wish.category}),
    )
    if state is not None and (done := state.done(command.command_id)) is not None:
        refuse_reuse(done, command)
        return _view(state).model_copy(update={"replayed": True})
    if known is None:
        await _refuse_too_many(factory, caller)
    return await _commanded(factory, caller, recipe_id, command, content)


async def delete_recipe(
    factory: Factory, caller: Caller, name: str, *, expected_version: int | None = None, request_key: str | None = None
) -> SavedRecipeView:
    """Forget a saved recipe; builds made of it keep theirs. Its name is free afterwards.

    Raises:
        Verdict: `recipe.not_found`, `recipe.built_in`, or `recipe.version_conflict`.

    """
    require(caller, "delete_recipe")
    state = await saved_state(factory, caller, name)
    if state is None:
        _refuse_built_in(factory, name, "Built-in templates stay; list_recipes shows which are your own.")
        state = await saved_recipe(factory, caller, name)
    recipe_id = state.recipe_id
    command_id = _command_id(factory, "delete_recipe", recipe_id, request_key)
    if state.done(command_id) is not None:
        return _view(state).model_copy(update={"replayed": True})
    if state.deleted:
        state = await saved_recipe(factory, caller, name)
    command = DeleteRecipe(
        command_id=command_id,
        requested_by=caller.subject,
        expected_version=state.version if expected_version is None else expected_version,
    )
    return await _commanded(factory, caller, recipe_id, command, state.content)


async def _commanded(
    factory: Factory, caller: Caller, recipe_id: str, command: AnyRecipeCommand, content: RecipeContent
) -> SavedRecipeView:
    version = await factory.saved_recipes.define_recipe(recipe_id, command)
    with suppress(Fault):  # it was accepted; that it cannot be seen now does not change that
        if await factory.reads.wait_for(caller.org_id, "saved_recipes", recipe_id, version, VISIBLE_SECONDS):
            state = await saved_state(factory, caller, content.name)
            if state is not None:
                return _view(state)
    return _described(content, version, deleted=command.kind == "delete").model_copy(update={"visible": False})


def _view(state: SavedRecipeState) -> SavedRecipeView:
    return _described(state.content, state.version, deleted=state.deleted)


def _described(content: RecipeContent, version: int, *, deleted: bool) -> SavedRecipeView:
    name = content.name
    return SavedRecipeView(
        name=name,
        version=version,
        category=content.category,
        description=content.description,
        recipe_digest=digest(content.document),
        deleted=deleted,
        next=None if deleted else f"Build it with create_build and recipe={name}; get_recipe shows it.",
    )


def _kept(given: str | None, known: str | None, default: str) -> str:
    return next((text for text in (given, known) if text is not None), default)


def _refuse_built_in(factory: Factory, name: str, advice: str) -> None:
    if factory.catalog.has(name):
        raise Verdict.because(
            "recipe.built_in", f"`{name}` is a built-in template.", path="name", value=name, next=advice
        )


async def _refuse_too_many(factory: Factory, caller: Caller) -> None:
    async with factory.reads.org(caller.org_id) as reads:
        problems = check_recipes(plan_of(caller.plan), await reads.saved_recipes.count())
    if problems:
        raise Verdict(*problems)


def _command_id(factory: Factory, tool: str, recipe_id: str, request_key: str | None) -> str:
    return factory.new_id() if request_key is None else derived_id(recipe_id, tool, request_key)
