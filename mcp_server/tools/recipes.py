"""Tools about recipes."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from domain.views import RecipeDetail, RecipeList, ValidationView
from mcp_server.callers import CallerOf
from mcp_server.face import READ, face
from service import recipes
from service.factory import Factory

Recipe = Annotated[
    dict[str, Any] | str,
    Field(
        description="A recipe as an object or as YAML or JSON text, or the name of a template from list_recipes. "
        "Required keys: name, baseImage (debian-bookworm or debian-trixie). Optional: packages, services, users, "
        "startupScripts, tests. get_recipe shows whole examples."
    ),
]
Draft = Annotated[dict[str, Any] | str, Field(description="A recipe, as for create_build.")]


class RecipeTools:
    """Tools about recipes and their templates."""

    def __init__(self, factory: Factory, caller_of: CallerOf) -> None:
        self._factory = factory
        self._caller_of = caller_of

    @face("List recipe templates", READ)
    async def list_recipes(self, ctx: Context[Any, Any]) -> RecipeList:
        """List the built-in recipe templates with what each is for. Start here when the user has no recipe yet."""
        return await recipes.list_recipes(self._factory, self._caller_of(ctx))

    @face("Show a recipe template", READ)
    async def get_recipe(
        self,
        ctx: Context[Any, Any],
        name: Annotated[str, Field(description="A template's name from list_recipes.", max_length=64)],
    ) -> RecipeDetail:
        """Return one template as a whole recipe, ready to be changed and given to validate_recipe or create_build."""
        return await recipes.get_recipe(self._factory, self._caller_of(ctx), name)

    @face("Check a recipe", READ)
    async def validate_recipe(self, ctx: Context[Any, Any], recipe: Draft) -> ValidationView:
        """Check a recipe without building anything: its form, its own contradictions, and whether every package exists.

        All problems come at once, each with a path into the recipe, a code and suggestions. `valid: false` is an
        answer, not an error. A valid recipe is still a draft: nothing runs until create_build is called.
        """
        return await recipes.validate_recipe(self._factory, self._caller_of(ctx), recipe)
