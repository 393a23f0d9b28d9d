"""What a saved recipe is after its events, folded in order. Folding never fails."""

from datetime import datetime

from domain.model import Value
from domain.saved_recipe import events as e
from domain.saved_recipe.inputs import RecipeContent

_COMMANDS_KEPT = 50


class DoneCommand(Value):
    """A command that was obeyed, and the digests of what it said and of what it kept; none for a deletion."""

    command_id: str
    content_digest: str | None = None
    input_digest: str | None = None


class SavedRecipeState(Value):
    """One saved recipe. `version` is the number of its events; `content` is what was last kept, also once deleted."""

    recipe_id: str
    org_id: str
    version: int
    created_at: datetime
    updated_at: datetime
    updated_by: str
    content: RecipeContent
    deleted: bool = False
    commands: tuple[DoneCommand, ...] = ()

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.content.name

    @property
    def present_version(self) -> int:
        """The version that a writer is expected to have seen: 0 while there is no recipe of this name."""
        return 0 if self.deleted else self.version

    def done(self, command_id: str) -> DoneCommand | None:
        """Find a command among the latest ones."""
        return next((done for done in self.commands if done.command_id == command_id), None)


def evolve(state: SavedRecipeState | None, event: e.SavedRecipeEvent) -> SavedRecipeState:
    """Return the state after `event`. A fact that does not fit leaves the state as it is, but counted.

    Raises:
        ValueError: the stream does not begin with `saved_recipe.saved.v1`.

    """
    if isinstance(event, e.RecipeSaved):
        return _saved(state, event)
    if state is None:
        raise ValueError(f"{event.NAME} before saved_recipe.saved.v1 in {event.recipe_id}")
    update: dict[str, object] = {
        "version": state.version + 1,
        "updated_at": event.at,
        "updated_by": event.requested_by,
        "commands": _with(state.commands, DoneCommand(command_id=event.command_id)),
    }
    if isinstance(event, e.RecipeDeleted):
        update["deleted"] = True
    return state.model_copy(update=update)


def fold(history: tuple[e.SavedRecipeEvent, ...]) -> SavedRecipeState | None:
    """Fold a whole stream; nothing for an empty one."""
    state: SavedRecipeState | None = None
    for event in history:
        state = evolve(state, event)
    return state


def _saved(state: SavedRecipeState | None, event: e.RecipeSaved) -> SavedRecipeState:
    done = DoneCommand(
        command_id=event.command_id,
        content_digest=event.content.content_digest,
        input_digest=event.input_digest,
    )
    return SavedRecipeState(
        recipe_id=event.recipe_id,
        org_id=event.org_id,
        version=1 if state is None else state.version + 1,
        created_at=event.at if state is None or state.deleted else state.created_at,
        updated_at=event.at,
        updated_by=event.requested_by,
        content=event.content,
        commands=_with(() if state is None else state.commands, done),
    )


def _with(commands: tuple[DoneCommand, ...], done: DoneCommand) -> tuple[DoneCommand, ...]:
    return (*commands, done)[-_COMMANDS_KEPT:]
