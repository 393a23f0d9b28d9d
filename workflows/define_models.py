"""What a definition's workflow takes and gives."""

from domain.model import Value
from domain.saved_recipe.commands import RecipeCommand
from domain.suite.commands import SuiteCommand


class DefineInput(Value):
    """One command to one suite."""

    suite_id: str
    command: SuiteCommand


class DefineRecipeInput(Value):
    """One command to one saved recipe."""

    recipe_id: str
    command: RecipeCommand


class DefineResult(Value):
    """The definition's version afterwards."""

    version: int
