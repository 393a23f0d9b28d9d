"""What a command makes happen to a saved recipe, given what already happened.

A command whose id the recipe holds already decides nothing, so that a repeated one is harmless.
"""

from datetime import datetime

from domain.errors import Verdict
from domain.saved_recipe import commands as c
from domain.saved_recipe import events as e
from domain.saved_recipe.state import DoneCommand, SavedRecipeState

_NOTHING: tuple[e.SavedRecipeEvent, ...] = ()


def decide(
    state: SavedRecipeState | None, command: c.AnyRecipeCommand, *, now: datetime
) -> tuple[e.SavedRecipeEvent, ...]:
    """Return the events that `command` adds to a recipe; none if they are there already.

    `now` is the time in UTC as the workflow sees it.

    Raises:
        Verdict: `recipe.not_found`, `recipe.exists`, `recipe.version_conflict`, `request_key.reused`.

    """
    done = None if state is None else state.done(command.command_id)
    match command:
        case c.SaveRecipe():
            if done is not None:
                refuse_reuse(done, command)
                return _NOTHING
            return _save(state, command, now)
        case c.DeleteRecipe():
            return _NOTHING if done is not None else _delete(state, command, now)


def refuse_reuse(done: DoneCommand, command: c.SaveRecipe) -> None:
    """Refuse a command id that kept something else. What was said counts, if both tell it.

    Raises:
        Verdict: `request_key.reused`.

    """
    if done.input_digest and command.input_digest:
        same = done.input_digest == command.input_digest
    else:
        same = done.content_digest == command.content.content_digest
    if not same:
        message = "This request_key was used before for another content of this recipe."
        raise Verdict.because("request_key.reused", message, path="request_key", next="Use another request_key.")


def _save(state: SavedRecipeState | None, command: c.SaveRecipe, now: datetime) -> tuple[e.SavedRecipeEvent, ...]:
    there = 0 if state is None else state.present_version
    if state is not None and there and state.content == command.content:
        return _NOTHING
    if there != command.expected_version:
        raise _exists(command.content.name, there) if not command.expected_version else _conflict(there, command)
    return (
        e.RecipeSaved(
            recipe_id=command.recipe_id,
            org_id=command.org_id,
            at=now,
            command_id=command.command_id,
            requested_by=command.requested_by,
            content=command.content,
            input_digest=command.input_digest,
        ),
    )


def _delete(state: SavedRecipeState | None, command: c.DeleteRecipe, now: datetime) -> tuple[e.SavedRecipeEvent, ...]:
    if state is None:
        raise Verdict.because("recipe.not_found", "There is no saved recipe of this name.", next="list_recipes")
    if state.deleted:
        return _NOTHING
    if state.version != command.expected_version:
        raise _conflict(state.version, command)
    return (
        e.RecipeDeleted(
            recipe_id=state.recipe_id,
            org_id=state.org_id,
            at=now,
            command_id=command.command_id,
            requested_by=command.requested_by,
        ),
    )


def _exists(name: str, version: int) -> Verdict:
    return Verdict.because(
        "recipe.exists",
        f"There is a saved recipe `{name}` already, at version {version}.",
        path="expected_version",
        value=name,
        next=f"Look at it with get_recipe; to replace it give expected_version={version}, else use another name.",
    )


def _conflict(version: int, command: c.AnyRecipeCommand) -> Verdict:
    there = f"at version {version} by now" if version else "not there any more"
    return Verdict.because(
        "recipe.version_conflict",
        f"The recipe is {there}, not at {command.expected_version}: someone changed it meanwhile.",
        path="expected_version",
        value=str(command.expected_version),
        next="Call get_recipe, look at what changed, and repeat with its version.",
    )
