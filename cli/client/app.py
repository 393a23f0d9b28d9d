"""The client's commands: their names, arguments and help. What they do is in the modules beside."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli.client import builds, downloads, evidence, logs, recipes
from cli.client import recipe_changes as changes
from cli.client.exits import EPILOG
from cli.client.images import images
from cli.client.mcp_config import show_config
from cli.client.output import run
from cli.client.rebuilds import rebuilds
from cli.client.suites import suites
from cli.client.test_runs import test_runs
from cli.client.vms import vms
from domain.build.inputs import VerifyPolicy
from domain.client_setup import ClientName

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
BuildId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A build's id, its first digits, `latest`, `latest-verified`, or either of one recipe: `latest:demo`.",
    ),
]
Recipe = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A YAML or JSON file, `-` for standard input, a recipe's name, or build:ID."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the build until it rests; Ctrl-C leaves it running.")]


def register(app: typer.Typer) -> None:
    """Add the client's commands to the command line."""
    for name, command in (
        ("build", build),
        ("builds", builds_),
        ("build-show", build_show),
        ("logs", logs_),
        ("retry", retry),
        ("cancel", cancel),
        ("build-delete", build_delete),
        ("validate", validate),
        ("recipes", recipes_),
        ("customize", customize),
        ("recipe-save", recipe_save),
        ("recipe-delete", recipe_delete),
        ("rerun", rerun),
        ("download", download),
        ("evidence", evidence_),
        ("compare", compare),
        ("whoami", whoami),
        ("mcp-config", mcp_config),
    ):
        app.command(name, epilog=EPILOG, rich_help_panel="Drive a factory")(command)
    app.add_typer(images, name="image", rich_help_panel="Drive a factory")
    app.add_typer(vms, name="vm", rich_help_panel="Drive a factory")
    app.add_typer(rebuilds, name="rebuild", rich_help_panel="Drive a factory")
    app.add_typer(suites, name="suite", rich_help_panel="Drive a factory")
    app.add_typer(test_runs, name="test-run", rich_help_panel="Drive a factory")


def build(  # noqa: PLR0913 - the command's own options
    recipe: Recipe,
    *,
    wait: Wait = False,
    request_key: Annotated[
        str | None, typer.Option(help="A name for this request: repeating it starts nothing new.")
    ] = None,
    verify: Annotated[
        VerifyPolicy, typer.Option(help="`always` boots and checks images that an earlier build has proven, too.")
    ] = "auto",
    priority: Annotated[str | None, typer.Option(help="high, normal or low: its turn among your own builds.")] = None,
    concurrency_key: Annotated[
        str | None, typer.Option(help="Builds with the same key run one at a time; a newer one supersedes older ones.")
    ] = None,
    on_conflict: Annotated[
        str | None, typer.Option(help="Which older ones end: queue (none), cancel_queued (default), cancel_running.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a build from a recipe."""
    followed = builds.Followed()
    given = {"priority": priority, "concurrency_key": concurrency_key, "on_conflict": on_conflict}
    asked = builds.Asked(
        request_key=request_key,
        verify=verify,
        wishes={name: value for name, value in given.items() if value is not None},
    )
    command = partial(builds.start_build, recipe=recipe, asked=asked, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


def builds_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many, newest first.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="Only pending, building, testing, completed, failed, cancelled or deleted ones.")
    ] = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before this one ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List builds."""
    run(partial(builds.list_builds, limit=limit, status=status, cursor=cursor), as_json=as_json)


def build_show(build_id: BuildId, *, as_json: AsJson = False) -> None:
    """Show one build: state, steps, verification, artifacts, and why it failed."""
    run(partial(builds.show_build, given=build_id), as_json=as_json)


def logs_(  # noqa: PLR0913 - the command's options
    build_id: BuildId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the build rests.")] = False,
    tail: Annotated[int | None, typer.Option(min=1, max=150, help="Begin with the last lines only.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", "-s", help="Only lines with this text, in any case.")
    ] = None,
    context: Annotated[int, typer.Option("--context", "-C", min=0, max=20, help="Lines around each match.")] = 0,
    start: Annotated[str | None, typer.Option("--from", help="Only from this line number or time on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only up to this line number or time.")] = None,
    step: Annotated[str | None, typer.Option(help="Only this step's lines.")] = None,
    numbers: Annotated[bool, typer.Option("--numbers", "-n", help="Show each line's number.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a build's log, or what is looked for in it."""
    wanted = {"search": search, "context": context or None, "start": start, "end": end, "step": step}
    chosen = {name: value for name, value in wanted.items() if value is not None}
    show = partial(logs.show_log, given=build_id, follow=follow, tail=tail, chosen=chosen, numbers=numbers)
    run(show, as_json=as_json)


def retry(build_id: BuildId, *, wait: Wait = False, as_json: AsJson = False) -> None:
    """Go on with a failed build from the step that failed; finished steps are kept."""
    followed = builds.Followed()
    command = partial(builds.retry_build, given=build_id, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


def cancel(
    build_id: BuildId,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a build and give back what it holds."""
    run(partial(builds.cancel_build, given=build_id, yes=yes), as_json=as_json)


def build_delete(
    build_id: BuildId,
    *,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a build that has ended, with its images and all its files."""
    run(partial(builds.delete_build, given=build_id, reason=reason, yes=yes), as_json=as_json)


def validate(recipe: Recipe, *, as_json: AsJson = False) -> None:
    """Check a recipe, packages included, without building it."""
    run(partial(recipes.validate_recipe, recipe=recipe), as_json=as_json)


def recipes_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A recipe, to print it whole.")] = None,
    *,
    category: Annotated[str | None, typer.Option(help="Only recipes of this category.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the built-in templates and the saved recipes, or print one."""
    run(partial(recipes.show_recipes, name=name, category=category), as_json=as_json)


def customize(
    recipe: Recipe,
    *,
    patch: Annotated[
        str | None, typer.Option(help="A JSON merge patch (RFC 7386): a file, `-`, or the object itself.")
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option("--edit", "-e", help="add_package:htop, remove_user:deploy, … or JSON; repeat it."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="PATH=VALUE: services.ssh.config.port=2222; repeat it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a recipe, and see what is different and whether it can be built; prints the result."""
    change = partial(changes.customize_recipe, recipe=recipe, patch=patch, edits=edit or (), settings=settings or ())
    run(change, as_json=as_json)


def recipe_save(
    recipe: Recipe,
    *,
    description: Annotated[str | None, typer.Option(help="What it is for, in a line.")] = None,
    category: Annotated[str | None, typer.Option(help="A word such as server.")] = None,
    replace: Annotated[
        int | None, typer.Option(metavar="VERSION", min=1, help="Replace the saved recipe that is at this version.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a recipe in the factory under its own name."""
    about = {"description": description, "category": category, "expected_version": replace}
    run(partial(changes.save_recipe, recipe=recipe, about=about), as_json=as_json)


def recipe_delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A saved recipe.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a saved recipe; builds made of it stay."""
    run(partial(changes.delete_recipe, name=name, yes=yes), as_json=as_json)


def rerun(
    build_id: BuildId,
    *,
    wait: Wait = False,
    request_key: Annotated[
        str | None, typer.Option(help="A name for this request: repeating it starts nothing new.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a build's recipe again, with the very same packages (of today: build build:ID)."""
    followed = builds.Followed()
    asked = builds.Asked(request_key=request_key)
    command = partial(builds.rerun_build, given=build_id, asked=asked, wait=wait, followed=followed)
    run(command, as_json=as_json, on_interrupt=followed.farewell)


def download(
    build_id: BuildId,
    *,
    kind: Annotated[list[str] | None, typer.Option(help="qcow2, iso, …; may be repeated. Without it, all.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to put the files in.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Download a build's files, checked against their SHA-256; continues what was cut."""
    run(partial(downloads.download, kinds=kind or (), folder=output, given=build_id), as_json=as_json)


def evidence_(build_id: BuildId, *, as_json: AsJson = False) -> None:
    """Show how a build's images were verified, bound to their SHA-256; exit 1 if that does not hold together."""
    run(partial(evidence.show_evidence, given=build_id), as_json=as_json)


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A build, as everywhere: latest-verified:demo …")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The build to compare it with.")] = "latest",
    *,
    as_json: AsJson = False,
) -> None:
    """Show what is different between two builds: recipe, packages, sizes, verification."""
    run(partial(evidence.compare, before=before, after=after), as_json=as_json)


def whoami(*, as_json: AsJson = False) -> None:
    """Say who the API key belongs to."""
    run(recipes.show_caller, as_json=as_json)


def mcp_config(
    client: Annotated[ClientName, typer.Argument(metavar="CLIENT", help=", ".join(ClientName))],
    *,
    placeholder: Annotated[bool, typer.Option("--placeholder", help="Do not print the key.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print an MCP client's configuration for this factory, ready to paste, with the key in it."""
    show_config(client, placeholder=placeholder, as_json=as_json)
