"""`openfactory mcp-config`: a client's configuration, ready to paste. It asks the factory nothing."""

import sys

import typer

from cli.client.exits import OK
from cli.client.failures import ClientFailure, KeyRefused
from cli.client.output import Output
from cli.client.target import read_address, read_target
from domain.client_setup import ClientName, client_setup


def show_config(client: ClientName, *, placeholder: bool, as_json: bool) -> None:
    """Print it with the key of the environment or of the local stack, or with a placeholder."""
    output = Output.standard(as_json=as_json)
    try:
        url = read_address()
        key = None if placeholder else _key(output)
    except ClientFailure as failure:
        output.problems(failure.problems)
        raise typer.Exit(failure.exit_code) from failure
    setup = client_setup(client, url, key)
    if as_json:
        output.json(setup.model_dump(mode="json", exclude_none=True))
    else:
        output.notes.print(setup.words, soft_wrap=True)
        # Not through the console: what is pasted keeps its lines.
        sys.stdout.write(f"{setup.snippet}\n")
    raise typer.Exit(OK)


def _key(output: Output) -> str | None:
    try:
        return read_target().key.get_secret_value()
    except KeyRefused as refused:
        output.notes.print(f"Written with a placeholder: {refused.problems[0].message}", soft_wrap=True)
        return None
