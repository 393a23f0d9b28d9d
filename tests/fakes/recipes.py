"""Saved recipes in memory: each command is decided and folded at once."""

from datetime import UTC, datetime

from domain.errors import Fault
from domain.saved_recipe.commands import AnyRecipeCommand
from domain.saved_recipe.decide import decide
from domain.saved_recipe.state import SavedRecipeState, evolve

_NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeRecipes:
    """The workflows of saved recipes."""

    def __init__(self, states: dict[str, SavedRecipeState]) -> None:
        self.states = states
        self.away = False

    async def define_recipe(self, recipe_id: str, command: AnyRecipeCommand) -> int:
        if self.away:
            raise Fault.because("temporal.unavailable", "the workflow engine at 10.9.8.7 does not answer")
        for event in decide(self.states.get(recipe_id), command, now=_NOW):
            self.states[recipe_id] = evolve(self.states.get(recipe_id), event)
        return self.states[recipe_id].version


class FakeSavedRecipeReads:
    """The saved recipes of one organization, by name."""

    def __init__(self, states: dict[str, SavedRecipeState], org_id: str) -> None:
        self._mine = sorted((s for s in states.values() if s.org_id == org_id), key=lambda state: state.name)

    async def get(self, recipe_id: str) -> SavedRecipeState | None:
        return next((state for state in self._mine if state.recipe_id == recipe_id), None)

    async def page(self, *, limit: int, after: str = "", category: str | None = None) -> tuple[SavedRecipeState, ...]:
        there = [s for s in self._mine if not s.deleted and s.name > after and category in (None, s.content.category)]
        return tuple(there[:limit])

    async def names(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        return tuple(s.name for s in self._mine if not s.deleted and s.name.startswith(beginning))[:limit]

    async def count(self) -> int:
        return sum(not state.deleted for state in self._mine)

    async def categories(self) -> dict[str, int]:
        there = [state.content.category for state in self._mine if not state.deleted]
        return {category: there.count(category) for category in sorted(set(there))}
