"""`openfactory rebuild-projections`: makes the read models anew from the event log."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.client import exits
from cli.client.words import duration, problem_text
from cli.stack.state import read_state
from domain.errors import FactoryError, Problem, Verdict
from infra import settings as configuration
from infra.settings import Settings

if TYPE_CHECKING:
    from event_store.rebuild import Rebuilt

_EPILOG = "Exit codes: 0 rebuilt · 1 not, the old read models stay · 75 the database does not answer, try again."


def register(app: typer.Typer) -> None:
    """Add `rebuild-projections` to the command line."""
    app.command("rebuild-projections", epilog=_EPILOG, rich_help_panel="Look into the factory")(rebuild_projections)


def rebuild_projections(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Fold the event log into new read models and swap them in; the factory may go on working meanwhile."""
    # Read here: the database's library costs a second that no other command should pay.
    import psycopg  # noqa: PLC0415

    from event_store import rebuild  # noqa: PLC0415

    out, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    started = time.monotonic()
    try:
        rebuilt = rebuild.rebuild_projections(owner_url(configuration.load()))
    except psycopg.OperationalError as error:
        notes.print(problem_text(_no_answer(error)), soft_wrap=True)
        raise typer.Exit(exits.TEMPORARY) from error
    except FactoryError as error:
        for problem in error.problems:
            notes.print(problem_text(problem), soft_wrap=True)
        raise typer.Exit(exits.TEMPORARY if error.retryable else exits.FAILED) from error
    seconds = time.monotonic() - started
    if as_json:
        models = [r.model_dump(mode="json") for r in rebuilt]
        out.file.write(json.dumps({"read_models": models, "seconds": round(seconds, 3)}) + "\n")
    else:
        out.print(_table(rebuilt))
        out.print(f"{len(rebuilt)} read model(s) rebuilt in {duration(seconds)}.")


def owner_url(settings: Settings) -> str:
    """Return the database's address for its owner role: DATABASE_URL, else that of the running stack.

    An embedded database's address is in no file: it is read from the environment of the stack's own
    parts, as proc(5) shows it to their user alone.

    Raises:
        Verdict: `rebuild.no_database`.

    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    state = read_state(settings.run / "state.json")
    for part in state.parts if state is not None else ():
        if part.pid is not None and (url := _variable(part.pid, "DATABASE_URL")):
            return url
    raise Verdict.because(
        "rebuild.no_database",
        f"No stack runs on {settings.home}, and DATABASE_URL is not set.",
        next="Start the stack with ./openfactory up, or set DATABASE_URL to the owner role's address.",
    )


def _no_answer(error: Exception) -> Problem:
    return Problem(
        code="database.unavailable",
        message=f"The database does not answer: {error}".strip(),
        retryable=True,
        next="Look at ./openfactory status, or check DATABASE_URL.",
    )


def _variable(pid: int, name: str) -> str | None:
    prefix = os.fsencode(f"{name}=")
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((os.fsdecode(pair.removeprefix(prefix)) for pair in pairs if pair.startswith(prefix)), None)


def _table(rebuilt: "Sequence[Rebuilt]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("read model", "events", "rows"):
        table.add_column(name, justify="left" if name == "read model" else "right")
    for model in rebuilt:
        table.add_row(model.name, f"{model.events:,}", f"{model.rows:,}")
    return table
