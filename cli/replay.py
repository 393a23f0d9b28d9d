"""`openfactory replay`: does today's workflow code still do what a history says?"""

import asyncio
import gzip
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cli.client import exits
from cli.client.words import plain
from domain.errors import Verdict

if TYPE_CHECKING:
    from cli.history import Divergence, History

_GZIP = b"\x1f\x8b"  # RFC 1952: kept histories are compressed
_EPILOG = "Exit codes: 0 the history replays · 1 it does not · 2 the file is not a history."


def register(app: typer.Typer) -> None:
    """Add `replay` to the command line."""
    app.command("replay", epilog=_EPILOG, rich_help_panel="Look into the factory")(replay)


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="HISTORY.json",
            exists=True,
            dir_okay=False,
            readable=True,
            help="As the Temporal UI downloads it, or `temporal workflow show --output json` prints it.",
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay a downloaded workflow history against today's code, and say where they part."""
    out, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        history, divergence = asyncio.run(_replayed(file.read_bytes()))
    except Verdict as verdict:
        problem = verdict.problems[0]
        notes.print(plain(f"{file}: {problem.message}"), soft_wrap=True)
        notes.print(plain(problem.next or f"Known: {', '.join(problem.suggestions)}"), soft_wrap=True)
        raise typer.Exit(exits.USAGE) from verdict
    if as_json:
        out.file.write(json.dumps(_report(history, divergence)) + "\n")
    else:
        _show(history, divergence, out)
    raise typer.Exit(exits.OK if divergence is None else exits.FAILED)


async def _replayed(data: bytes) -> "tuple[History, Divergence | None]":
    # Read here: the workflows' libraries cost a second that no other command should pay.
    from cli.history import find_divergence, read_history  # noqa: PLC0415
    from workflows.catalog import WORKFLOWS  # noqa: PLC0415

    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # the divergence is reported once, by us
    history = read_history(gzip.decompress(data) if data.startswith(_GZIP) else data)
    return history, await find_divergence(history, WORKFLOWS)


def _report(history: "History", divergence: "Divergence | None") -> dict[str, Any]:
    return {
        "workflow_id": history.workflow_id,
        "workflow_type": history.workflow_type,
        "events": len(history.events),
        "replays": divergence is None,
        "divergence": None if divergence is None else divergence.model_dump(mode="json"),
    }


def _show(history: "History", divergence: "Divergence | None", out: Console) -> None:
    what = f"{history.workflow_type} {history.workflow_id}, {len(history.events)} events"
    if divergence is None:
        out.print(plain(f"{what}: today's code does what the history says."), soft_wrap=True)
        return
    out.print(plain(f"{what}: history and code part at event {divergence.event_id}.", "bold red"), soft_wrap=True)
    out.print(plain(f"  the history has: {divergence.expected}"), soft_wrap=True)
    out.print(plain(f"  the code did:    {divergence.found}"), soft_wrap=True)
    out.print(plain(f"  the SDK says:    {divergence.message.splitlines()[0]}", "dim"), soft_wrap=True)
