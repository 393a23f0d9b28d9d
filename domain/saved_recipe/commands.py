"""What may be told to a saved recipe. Each command is decided against what the log holds."""

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value
from domain.saved_recipe.inputs import RecipeContent


class SaveRecipe(Value):
    """Keep this content, if the recipe is still at the version that its writer saw; 0 if there was none.

    `input_digest` is the SHA-256 of what its writer said, which a repeat has in common with it; the content is more,
    for what is not said stays as it is.
    """

    kind: Literal["save"] = "save"
    command_id: str
    recipe_id: str
    org_id: str
    requested_by: str
    expected_version: int
    content: RecipeContent
    input_digest: str | None = None


class DeleteRecipe(Value):
    """Forget the recipe, if it is still at the version that was seen."""

    kind: Literal["delete"] = "delete"
    command_id: str
    requested_by: str
    expected_version: int


AnyRecipeCommand = SaveRecipe | DeleteRecipe
RecipeCommand = Annotated[AnyRecipeCommand, Field(discriminator="kind")]
