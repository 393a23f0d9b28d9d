"""The commands that run the factory on this machine."""

import sys
from typing import Annotated

import typer

from infra.settings import load

_PANEL = "The stack on this machine"
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the stack's commands to the command line."""
    app.command("up", rich_help_panel=_PANEL)(up)


def up() -> None:
    """Start the stack, stay in the foreground, and stop it at Ctrl-C."""
    from cli.stack.run import run_stack  # noqa: PLC0415 - a command loads what it needs, so that --help is quick

    run_stack(load(), _say)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
