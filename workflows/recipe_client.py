"""The typed client of saved recipes."""

from domain.saved_recipe.commands import AnyRecipeCommand
from workflows.connect import Connected
from workflows.define import DefineRecipeWorkflow
from workflows.define_models import DefineRecipeInput
from workflows.definitions import Definition, define


class RecipeClient:
    """Records what is told to saved recipes."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

    async def define_recipe(self, recipe_id: str, command: AnyRecipeCommand) -> int:
        """Record a command to a saved recipe and answer its version; a repeated command changes nothing.

        Raises:
            Verdict: what the command is refused for (see `domain.saved_recipe.decide`).
            Fault: `temporal.unavailable`.

        """
        summary = f"{command.kind.capitalize()} recipe {recipe_id}"
        definition = Definition(f"recipe-{recipe_id}-{command.command_id}", summary)
        start = DefineRecipeInput(recipe_id=recipe_id, command=command)
        return await define(await self._connected(), DefineRecipeWorkflow.run, start, definition)
