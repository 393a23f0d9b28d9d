"""The commands that change, keep and forget recipes."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rich.text import Text

from cli.client import exits
from cli.client.confirm import confirm
from cli.client.failures import UsageFailure
from cli.client.output import Output
from cli.client.recipe_source import read_recipe
from cli.client.tools import Tools
from cli.client.words import plain, problem_text
from domain.errors import Problem
from domain.recipe.difference import Difference
from domain.views import CustomizedRecipe, SavedRecipeView

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


async def customize_recipe(
    session: Tools, output: Output, *, recipe: str, patch: str | None, edits: Sequence[str], settings: Sequence[str]
) -> int:
    """Change a recipe: what is different goes to standard error, the result alone to standard output."""
    answer = await session.call(
        "customize_recipe",
        {
            "recipe": read_recipe(recipe),
            "patch": None
            if patch is None
            else _mapping(patch if patch.startswith("{") else read_recipe(patch), "--patch"),
            "edits": [*map(_edit, edits), *map(_setting, settings)] or None,
        },
    )
    view = CustomizedRecipe.model_validate(answer, extra="ignore")
    code = exits.OK if view.valid else exits.FAILED
    if output.as_json:
        output.json(answer)
        return code
    for problem in view.problems:
        output.notes.print(problem_text(problem), soft_wrap=True)
    for change in view.changes:
        output.notes.print(change_text(change), soft_wrap=True)
    if view.cut:
        output.notes.print(plain(view.cut), soft_wrap=True)
    if view.recipe is not None:
        output.out.file.write(json.dumps(view.recipe, indent=2) + "\n")
    elif view.recipe_url:
        output.say(view.recipe_url)
    return code


async def save_recipe(session: Tools, output: Output, *, recipe: str, about: Mapping[str, Any]) -> int:
    """Keep a recipe under its own name."""
    arguments = {"recipe": read_recipe(recipe), **about, "request_key": str(uuid.uuid4())}
    answer = await session.call("save_recipe", arguments)
    if output.as_json:
        output.json(answer)
        return exits.OK
    view = SavedRecipeView.model_validate(answer, extra="ignore")
    output.say(f"Recipe {view.name} is saved, version {view.version}. Build it: openfactory build {view.name} --wait")
    return exits.OK


async def delete_recipe(session: Tools, output: Output, *, name: str, yes: bool) -> int:
    """Forget a saved recipe. Asks first, unless `yes`."""
    if not yes:
        confirm(f"Delete the saved recipe {name}?", "Deleting forgets the recipe for good")
    answer = await session.call("delete_recipe", {"name": name, "request_key": str(uuid.uuid4())})
    if output.as_json:
        output.json(answer)
    else:
        output.say(f"Recipe {name} is deleted. Builds made of it stay.")
    return exits.OK


def change_text(change: Difference) -> Text:
    """Say one difference."""
    mark, style = _MARKS[change.kind]
    text = Text(f"{mark} ", style=f"bold {style}").append_text(plain(change.path, "bold"))
    if change.before is not None:
        text.append(" ").append_text(plain(json.dumps(change.before), "red" if change.kind != "added" else ""))
    if change.kind == "changed":
        text.append(" → ")
    if change.after is not None:
        text.append("" if change.kind == "changed" else " ").append_text(plain(json.dumps(change.after), "green"))
    return text


def _edit(text: str) -> dict[str, Any]:
    """Read `add_package:nginx`, or a whole edit as JSON."""
    if text.startswith("{"):
        return _mapping(text, "--edit")
    name, _, value = text.partition(":")
    key = "username" if name.endswith("_user") else "description" if name.endswith("_test") else "name"
    return {"edit": name, key: value}


def _setting(text: str) -> dict[str, Any]:
    path, equals, value = text.partition("=")
    if not equals:
        raise UsageFailure(
            Problem(code="client.no_pair", message=f"This is not PATH=VALUE: {text}", next="Write guestAgent=false.")
        )
    try:
        return {"edit": "set", "path": path, "value": json.loads(value)}
    except ValueError:
        return {"edit": "set", "path": path, "value": value}


def _mapping(text: str, option: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        message = f"{option} takes a JSON object, as text or as a file."
        raise UsageFailure(Problem(code="client.not_json", message=message, path=option, next="Check the JSON."))
    return cast("dict[str, Any]", found)
