"""Tools about recipes."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from domain.recipe.edits import EDITS, MOST_EDITS
from domain.views import (
    CustomizedRecipe,
    RecipeCategories,
    RecipeDetail,
    RecipeList,
    SavedRecipeView,
    ValidationView,
)
from mcp_server.callers import CallerOf
from mcp_server.face import END, READ, RESUME, face
from mcp_server.tools.arguments import RequestKey
from service import recipe_commands, recipe_customize, recipes
from service.factory import Factory
from service.recipe_commands import SaveWish
from service.recipes import MOST_RECIPES

_RECIPE = (
    "A recipe as an object or as YAML or JSON text, the name of one from list_recipes, or build:ID for a build's. "
    "Required keys: name, baseImage (debian-bookworm or debian-trixie). Optional: packages, services, users, "
    "startupScripts, tests. get_recipe shows whole examples."
)
_WORD = r"^[a-z0-9-]{1,63}$"
_EDITS = ", ".join(EDITS)
Recipe = Annotated[dict[str, Any] | str, Field(description=_RECIPE)]
Draft = Annotated[dict[str, Any] | str, Field(description="A recipe, as for create_build.")]
Name = Annotated[str, Field(description="A recipe's name from list_recipes.", max_length=64)]
Version = Annotated[int | None, Field(ge=0, description="Refuse unless the saved recipe is at this version.")]


class RecipeTools:
    """Tools about recipes: built-in templates and the organization's own."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    @face("List recipes", READ)
    async def list_recipes(
        self,
        ctx: Context[Any, Any],
        category: Annotated[str | None, Field(description="Only recipes of this category.", pattern=_WORD)] = None,
        limit: Annotated[int, Field(ge=1, le=MOST_RECIPES, description="How many saved ones at most.")] = 20,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before.", pattern=_WORD)] = None,
    ) -> RecipeList:
        """List the built-in templates and the organization's saved recipes. Start here when there is no recipe yet."""
        return await recipes.list_recipes(
            self._factory, self._caller_of(ctx), category=category, limit=limit, cursor=cursor
        )

    @face("List recipe categories", READ)
    async def list_recipe_categories(self, ctx: Context[Any, Any]) -> RecipeCategories:
        """List the categories of recipes, with how many built-in and saved ones are in each."""
        return await recipes.list_categories(self._factory, self._caller_of(ctx))

    @face("Show a recipe", READ)
    async def get_recipe(self, ctx: Context[Any, Any], name: Name) -> RecipeDetail:
        """Return one recipe whole, ready for customize_recipe, validate_recipe or create_build."""
        return await recipes.get_recipe(self._factory, self._caller_of(ctx), name)

    @face("Check a recipe", READ)
    async def validate_recipe(self, ctx: Context[Any, Any], recipe: Recipe) -> ValidationView:
        """Check a recipe without building anything: its form, its own contradictions, and whether every package exists.

        All problems come at once, each with a path into the recipe, a code and suggestions. `valid: false` is an
        answer, not an error. A valid recipe is still a draft: nothing runs until create_build is called.
        """
        return await recipes.validate_recipe(self._factory, self._caller_of(ctx), recipe)

    @face("Change a recipe", READ)
    async def customize_recipe(
        self,
        ctx: Context[Any, Any],
        recipe: Draft,
        patch: Annotated[
            dict[str, Any] | None,
            Field(description="A JSON merge patch (RFC 7386): null removes a key, a list replaces the whole list."),
        ] = None,
        edits: Annotated[
            list[dict[str, Any]] | None,
            Field(
                description='Made after the patch, e.g. {"edit": "add_package", "name": "nginx"}. edit is one of '
                f"{_EDITS}; name, username or description says which; add_* takes the whole entry, set a path "
                "(services.ssh.config.port) and a value.",
                max_length=MOST_EDITS,
            ),
        ] = None,
    ) -> CustomizedRecipe:
        """Change a recipe by a patch or named edits; answers the result, what is different, and whether it is valid.

        Nothing is kept or built: give the answered recipe to create_build or save_recipe.
        """
        return await recipe_customize.customize_recipe(
            self._factory, self._caller_of(ctx), recipe, patch=patch, edits=edits or ()
        )

    @face("Save a recipe", RESUME)
    async def save_recipe(
        self,
        ctx: Context[Any, Any],
        recipe: Draft,
        description: Annotated[str | None, Field(description="What it is for, in a line.", max_length=300)] = None,
        category: Annotated[str | None, Field(description="A word such as server; default: own.")] = None,
        expected_version: Version = None,
        request_key: RequestKey = None,
    ) -> SavedRecipeView:
        """Keep a recipe under its own name for the organization; create_build then takes the name.

        Replacing one needs expected_version, the version that get_recipe shows.
        """
        wish = SaveWish(description=description, category=category, expected_version=expected_version)
        return await recipe_commands.save_recipe(
            self._factory, self._caller_of(ctx), recipe, wish, request_key=request_key
        )

    @face("Delete a saved recipe", END)
    async def delete_recipe(
        self, ctx: Context[Any, Any], name: Name, expected_version: Version = None, request_key: RequestKey = None
    ) -> SavedRecipeView:
        """Forget a saved recipe; builds made of it stay. Ask the user before calling this."""
        return await recipe_commands.delete_recipe(
            self._factory, self._caller_of(ctx), name, expected_version=expected_version, request_key=request_key
        )
