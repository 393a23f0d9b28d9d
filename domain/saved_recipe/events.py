"""The facts of a saved recipe. Names are versioned and never depend on a class path."""

from domain.event import Event
from domain.saved_recipe.inputs import RecipeContent


class SavedRecipeEvent(Event):
    """A fact about one saved recipe. `command_id` makes a repeated command harmless."""

    recipe_id: str
    command_id: str
    requested_by: str


class RecipeSaved(SavedRecipeEvent):
    """This is the recipe from now on, whether it is new, changed, or there again."""

    NAME = "saved_recipe.saved.v1"
    content: RecipeContent
    input_digest: str | None = None


class RecipeDeleted(SavedRecipeEvent):
    """The recipe is no more; its name is free."""

    NAME = "saved_recipe.deleted.v1"


SAVED_RECIPE_EVENTS: dict[str, type[SavedRecipeEvent]] = {cls.NAME: cls for cls in (RecipeSaved, RecipeDeleted)}
