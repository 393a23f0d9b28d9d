"""Asking before something that cannot be undone."""

import sys

import typer

from cli.client.failures import UsageFailure
from domain.errors import Problem


def confirm(question: str, loses: str) -> None:
    """Ask on the terminal; whoever says no ends the command. `loses` says what would be gone, as a clause.

    Raises:
        UsageFailure: `client.needs_confirmation` where nobody can be asked.

    """
    if not sys.stdin.isatty():
        message = f"{loses}, and nobody can be asked here."
        raise UsageFailure(Problem(code="client.needs_confirmation", message=message, next="Give --yes."))
    typer.confirm(question, abort=True)
