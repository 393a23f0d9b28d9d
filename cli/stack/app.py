"""The commands that run the factory on this machine. A command loads what it needs, so that --help is quick."""

import os
import sys
from typing import Annotated, Final

import typer

from infra.settings import load

_PANEL: Final = "The stack on this machine"
_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the stack's commands to the command line."""
    for command in (up, down, status, demo, doctor):
        app.command(rich_help_panel=_PANEL)(command)
    passing_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("test", rich_help_panel=_PANEL, context_settings=passing_on)(check)


def up(
    *,
    host: Annotated[
        bool,
        typer.Option("--host", help="Only libvirt and the worker, for a factory that runs elsewhere."),
    ] = False,
) -> None:
    """Start the stack, stay in the foreground, and stop it at Ctrl-C."""
    # Another program in the place of this one: what reads command lines takes nine MiB, and the supervisor stays.
    flags = ["-P"] if sys.flags.safe_path else []
    words = ["--host"] if host else []
    os.execv(sys.executable, [sys.executable, *flags, "-m", "cli.stack.up", *words])  # noqa: S606 - our own program


def down() -> None:
    """Stop the stack that runs on this data folder."""
    from cli.stack.down import stop_stack

    settings = load()
    _say("stopped" if stop_stack(settings) else f"no stack runs on {settings.home}")


def status(*, as_json: _JSON = False) -> None:
    """Show the running parts, what they take, and where they are. Ends with 3 if no stack runs."""
    from rich.console import Console

    from cli.stack.status import look, render

    view = look(load())
    if as_json:
        _say(view.model_dump_json(indent=2))
    else:
        render(view, Console())
    if not view.running:
        raise typer.Exit(3)  # "program is not running", as the LSB says it of init scripts


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running.")] = False,
    as_json: _JSON = False,
) -> None:
    """Build, boot and verify the demo image, and stop what was started for it."""
    from cli.stack.demo import run_demo

    raise typer.Exit(run_demo(load(), keep=keep, as_json=as_json))


def doctor(
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Do what can be done about it.")] = False,
    as_json: _JSON = False,
) -> None:
    """Check that this machine has what the factory needs, and say what to do."""
    from cli.stack.doctor import run_doctor

    raise typer.Exit(run_doctor(load(), fix=fix, as_json=as_json))


def check(
    context: typer.Context,
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Only what needs no programs and servers.")] = False,
) -> None:
    """Run every check of the project and its tests; further arguments go to pytest."""
    from cli.stack.quality import run_checks

    raise typer.Exit(run_checks(context.args, fast=fast))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
