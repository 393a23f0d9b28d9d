"""The command line: the stack's own commands, and the client's, each of which is a call of the MCP tools."""

import sys

import typer

import cli.stack.app
from cli.leaving import complain, leave
from domain.errors import FactoryError


def build_app(*, supervisor: bool = False) -> typer.Typer:
    """Put the commands of both halves together; a supervisor, which stays, has the stack's own only."""
    app = typer.Typer(
        name="openfactory",
        help="A factory for operating-system images. `up` starts it, `demo` shows it, the rest drives it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.stack.app.register(app)
    if not supervisor:
        _register_others(app)
    return app


def _register_others(app: typer.Typer) -> None:
    import cli.client.app
    import cli.gc
    import cli.guests
    import cli.rebuild
    import cli.replay

    for part in (cli.client.app, cli.replay, cli.rebuild, cli.guests, cli.gc):
        part.register(app)


def main() -> None:
    """Run one command; what is wrong is said in words, with what to do next, and ends with status 1."""
    try:
        build_app(supervisor=sys.argv[1:2] == ["up"])()
    except FactoryError as error:
        complain(error)
        leave(1)
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        leave(end.code or 0)
