"""`openfactory gc`: removes what nobody refers to, or says what would go."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.client import exits
from cli.client.words import duration, plain, problem_text, size
from cli.stack.state import variable_of_parts
from domain.errors import FactoryError, Verdict
from infra import settings as configuration
from infra.settings import Settings, TemporalSettings

if TYPE_CHECKING:
    from activities.keeping.collect_models import Collected

_EPILOG = "Exit codes: 0 done · 1 not · 75 the factory does not answer or go on, try again."
_AGAIN_SECONDS = 10.0


def register(app: typer.Typer) -> None:
    """Add `gc` to the command line."""
    app.command("gc", epilog=_EPILOG, rich_help_panel="Look into the factory")(gc)


def gc(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say what would go, and why.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove objects that nobody refers to, files that plans keep no longer, and what hosts have not wanted for long.

    The factory does this by itself once an hour.
    """
    out, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        collected = asyncio.run(_collected(configuration.load(), _Progress(notes), dry_run=dry_run))
    except FactoryError as error:
        for problem in error.problems:
            notes.print(problem_text(problem), soft_wrap=True)
        raise typer.Exit(exits.TEMPORARY if error.retryable else exits.FAILED) from error
    if as_json:
        out.file.write(json.dumps({**collected.model_dump(mode="json"), "bytes": collected.bytes}) + "\n")
    else:
        _show(collected, out)


async def _collected(settings: Settings, progress: "_Progress", *, dry_run: bool) -> "Collected":
    # Read here: the workflows' libraries cost a second that no other command should pay.
    from activities.keeping.collect_models import CollectInput  # noqa: PLC0415
    from workflows.collect_client import collect  # noqa: PLC0415
    from workflows.connect import connect  # noqa: PLC0415

    client = await connect(settings.model_copy(update={"temporal": _temporal(settings)}))
    return await collect(client, f"collect-{uuid.uuid4()}", CollectInput(dry_run=dry_run), progress.tell)


class _Progress:
    """Says what the collection is at when that changes, and now and then how long it is at it already."""

    def __init__(self, notes: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._notes = notes
        self._clock = clock
        self._began = self._told = clock()
        self._last = ""

    def tell(self, what: str) -> None:
        """Say it, unless it was just said."""
        now = self._clock()
        if what == self._last and now - self._told < _AGAIN_SECONDS:
            return
        since = f" ({duration(now - self._began)})" if self._last else ""
        self._last, self._told = what, now
        self._notes.print(plain(f"{what} …{since}", "dim"), soft_wrap=True)


def _temporal(settings: Settings) -> TemporalSettings:
    """Return the workflow engine's address: TEMPORAL_ADDRESS, else that of the running stack.

    Raises:
        Verdict: `gc.no_factory`.

    """
    if settings.temporal is not None:
        return settings.temporal
    address = variable_of_parts(settings, "TEMPORAL_ADDRESS")
    if address is None:
        raise Verdict.because(
            "gc.no_factory",
            f"No stack runs on {settings.home}, and TEMPORAL_ADDRESS is not set.",
            next="Start the stack with ./openfactory up, or set TEMPORAL_ADDRESS.",
        )
    return TemporalSettings(address=address, namespace=variable_of_parts(settings, "TEMPORAL_NAMESPACE") or "default")


def _show(collected: "Collected", out: Console) -> None:
    verb = "would go" if collected.dry_run else "went"
    if collected.expired:
        out.print(
            f"The files of {len(collected.expired)} build(s) {'would expire' if collected.dry_run else 'expired'}:"
        )
        for build in collected.expired:
            out.print(plain(f"  {build.build_id}  {build.reason}"), soft_wrap=True)
    if collected.gone:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("where", "what", "count", "size", "why"):
            table.add_column(name, justify="right" if name in {"count", "size"} else "left")
        for gone in collected.gone:
            table.add_row(plain(gone.where), gone.kind, f"{gone.count:,}", size(gone.bytes), plain(gone.reason))
        out.print(table)
    out.print(f"{size(collected.bytes)} {verb}.")
    for note in collected.notes:
        out.print(plain(f"Not everywhere: {note}", "yellow"), soft_wrap=True)
