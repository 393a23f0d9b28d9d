"""The commands around recipes."""

import json

from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.output import Output
from cli.client.recipe_source import read_recipe
from cli.client.tools import Tools
from cli.client.words import as_commands, plain, problem_text
from domain.views import RecipeDetail, RecipeList, ValidationView, WhoAmI


async def validate_recipe(session: Tools, output: Output, recipe: str) -> int:
    """Judge a recipe: every problem at once, exit 1 if there is any."""
    document = read_recipe(recipe)
    answer = await session.call("validate_recipe", {"recipe": document})
    view = ValidationView.model_validate(answer, extra="ignore")
    code = exits.OK if view.valid else exits.FAILED
    if output.as_json:
        output.json(answer)
        return code
    for problem in view.problems:
        output.out.print(problem_text(problem), soft_wrap=True)
    if view.valid:
        output.out.print(Text("✓ ", style="bold green").append(f"{recipe} can be built.", style=""))
        if view.recipe_digest:
            output.say(f"  digest: {view.recipe_digest}")
    else:
        output.say(f"{len(view.problems)} problem(s) in {recipe}.")
    return code


async def show_recipes(session: Tools, output: Output, name: str | None, category: str | None = None) -> int:
    """List the templates and saved recipes, or print one as the JSON document that `build` takes."""
    if name is not None:
        return await _show_one(session, output, name)
    answer = await session.call("list_recipes", {"category": category})
    if output.as_json:
        output.json(answer)
        return exits.OK
    page = RecipeList.model_validate(answer, extra="ignore")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("name", "category", "base", "packages", "tests", "what it is"):
        table.add_column(column, justify="right" if column in {"packages", "tests"} else "left")
    for recipe in page.recipes:
        doubt = "" if recipe.valid else ", no longer valid"
        saved = "" if recipe.version is None else f" (saved, version {recipe.version}{doubt})"
        about = Text(recipe.title, style="bold").append_text(plain(f" {recipe.description}{saved}"))
        counts = (str(recipe.packages), str(recipe.tests))
        table.add_row(plain(recipe.name), plain(recipe.category), recipe.base_image, *counts, about)
    output.out.print(table)
    if page.next_cursor:
        output.say("There are more saved recipes; narrow them with --category.")
    output.say("Build one: openfactory build NAME --wait. Change one: openfactory recipes NAME > my.json")
    return exits.OK


async def _show_one(session: Tools, output: Output, name: str) -> int:
    answer = await session.call("get_recipe", {"name": name})
    if output.as_json:
        output.json(answer)
        return exits.OK
    detail = RecipeDetail.model_validate(answer, extra="ignore")
    # The document alone goes to standard output, so that it can be saved and changed.
    output.notes.print(plain(f"{detail.title}: {detail.description}"), soft_wrap=True)
    for problem in detail.problems:
        output.notes.print(problem_text(problem), soft_wrap=True)
    if detail.next:
        output.notes.print(plain(as_commands(detail.next)), soft_wrap=True)
    if detail.default_packages:
        output.notes.print(plain(f"Comes with: {', '.join(detail.default_packages)}", "dim"), soft_wrap=True)
    if detail.recipe is not None:
        output.out.file.write(json.dumps(detail.recipe, indent=2) + "\n")
    else:
        output.say(detail.recipe_url or "")
    return exits.OK


async def show_caller(session: Tools, output: Output) -> int:
    """Say who the key belongs to, and what it may do."""
    answer = await session.call("whoami", {})
    if output.as_json:
        output.json(answer)
        return exits.OK
    me = WhoAmI.model_validate(answer, extra="ignore")
    output.say(f"{me.subject} of organization {me.org_id}, plan {me.plan}, factory {me.factory_version}")
    output.say(f"may: {', '.join(me.permissions)}")
    return exits.OK
