"""The commands that run the factory on this machine."""

import typer


def register(app: typer.Typer) -> None:
    """Add the stack's commands to the command line."""
