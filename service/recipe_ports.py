"""What the service of recipes needs of the rest of the factory, as protocols."""

from collections.abc import Mapping
from typing import Protocol

from domain.saved_recipe.commands import AnyRecipeCommand
from domain.saved_recipe.state import SavedRecipeState


class SavedRecipeReads(Protocol):
    """The saved recipes of one organization."""

    async def get(self, recipe_id: str) -> SavedRecipeState | None:
        """Return a recipe, also a deleted one, or nothing if it is absent or another organization's."""
        ...

    async def page(self, *, limit: int, after: str = "", category: str | None = None) -> tuple[SavedRecipeState, ...]:
        """List the recipes that are there by name, beginning behind the name `after`."""
        ...

    async def names(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        """Return the names that begin like this of recipes that are there, in their order, at most so many."""
        ...

    async def count(self) -> int:
        """Count the recipes that are there."""
        ...

    async def categories(self) -> Mapping[str, int]:
        """Count the recipes that are there, by category."""
        ...


class SavedRecipes(Protocol):
    """The workflows of saved recipes. Every method raises `Fault` when the workflow engine does not answer."""

    async def define_recipe(self, recipe_id: str, command: AnyRecipeCommand) -> int:
        """Record a command to a recipe and answer its version. Raises `Verdict` if the command is refused."""
        ...
