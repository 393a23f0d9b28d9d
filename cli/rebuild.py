"""`openfactory rebuild-projections`: makes the read models anew from the event log."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.client import exits
from cli.client.words import duration, problem_text
from cli.stack.database import owner_url
from domain.errors import FactoryError, Problem
from infra import settings as configuration

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
        rebuilt = rebuild.rebuild_projections(
            owner_url(configuration.load()),
            say_that_another_runs=lambda: notes.print("Another rebuild runs; waiting until it is done …"),
        )
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


def _no_answer(error: Exception) -> Problem:
    return Problem(
        code="database.unavailable",
        message=f"The database does not answer: {error}".strip(),
        retryable=True,
        next="Look at ./openfactory status, or check DATABASE_URL.",
    )


def _table(rebuilt: "Sequence[Rebuilt]") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("read model", "events", "rows"):
        table.add_column(name, justify="left" if name == "read model" else "right")
    for model in rebuilt:
        table.add_row(model.name, f"{model.events:,}", f"{model.rows:,}")
    return table
