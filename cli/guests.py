"""`openfactory guest …`: the operator mints, lists and revokes guest tokens, and sees who was refused what."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from cli.stack.database import admission_url
from domain.errors import Verdict
from infra import settings as configuration
from infra.settings import Settings

if TYPE_CHECKING:
    from domain.guest import Guest
    from service.admission.database import AdmissionDatabase
    from service.admission.guests import GuestBook

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Result = TypeVar("_Result")


def register(app: typer.Typer) -> None:
    """Add `guest …` and `denials` to the command line."""
    guests = typer.Typer(help="Guest tokens of this factory: metered access without an account.", no_args_is_help=True)
    for command in (mint, list_, revoke):
        guests.command(command.__name__.rstrip("_"))(command)
    app.add_typer(guests, name="guest", rich_help_panel="Look into the factory")
    app.command("denials", rich_help_panel="Look into the factory")(denials)


def mint(*, as_json: _JSON = False) -> None:
    """Make a guest token, whether or not the front page offers them; it is shown once."""
    settings = configuration.load()
    made = _with_book(settings, lambda book: book.mint(network="operator", minted_by="operator"))
    if as_json:
        _say(json.dumps({"token": made.token, **_facts(made.guest)}))
    else:
        _say(f"X-Guest-Id: {made.token}")
        _say(f"Guest {made.guest.guest_id}, until {made.guest.expires_at:%Y-%m-%d}.")
    if not settings.guests:
        sys.stderr.write("No guest is let in until the stack runs with OPENFACTORY_GUESTS=on.\n")


def list_(
    *, limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50, as_json: _JSON = False
) -> None:
    """List guests, newest first."""
    guests = _with_book(configuration.load(), lambda book: book.latest(limit))
    if as_json:
        _say(json.dumps({"guests": [_facts(guest) for guest in guests]}))
        return
    rows = [(g.guest_id, f"{g.minted_at:%Y-%m-%d %H:%M}", g.minted_by, g.network, _word(g)) for g in guests]
    _table(("guest", "made (UTC)", "by", "from", "state"), rows)


def revoke(guest_id: Annotated[str, typer.Argument(metavar="GUEST", help="From `guest list`.")]) -> None:
    """Let a guest in no more, at once."""
    if not _with_book(configuration.load(), lambda book: book.revoke(guest_id)):
        message = f"There is no guest {guest_id}."
        raise Verdict.because("guest.not_found", message, next="Look at ./openfactory guest list.")
    _say(f"Guest {guest_id} is revoked.")


def denials(
    *, hours: Annotated[float, typer.Option(min=0.1, help="Of how many hours back.")] = 24, as_json: _JSON = False
) -> None:
    """Count who was refused what: wrong keys, spent quotas, too many requests."""
    from service.admission.denials import counted  # noqa: PLC0415 - the database's library costs a second

    found = _with_database(configuration.load(), lambda database: counted(database, hours))
    if as_json:
        _say(json.dumps({"denials": [{**denial._asdict(), "times": times} for denial, times in found]}))
        return
    rows = [(str(n), d.code, d.what, f"{d.org_id} {d.subject}".strip(), d.network) for d, n in found]
    _table(("times", "code", "what", "who", "from"), rows)


def _with_book(settings: Settings, work: "Callable[[GuestBook], Awaitable[_Result]]") -> _Result:
    from infra.guest_tokens import GuestSigner  # noqa: PLC0415 - as above
    from infra.keys import Secrets  # noqa: PLC0415 - as above
    from service.admission.guests import GuestBook  # noqa: PLC0415 - as above

    signer = GuestSigner(Secrets(settings.secrets).signing_key())
    return _with_database(settings, lambda database: work(GuestBook(database, signer)))


def _with_database(settings: Settings, work: "Callable[[AdmissionDatabase], Awaitable[_Result]]") -> _Result:
    from service.admission.database import AdmissionDatabase  # noqa: PLC0415 - as above

    async def done() -> _Result:
        async with AdmissionDatabase(admission_url(settings)) as database:
            return await work(database)

    return asyncio.run(done())


def _facts(guest: "Guest") -> dict[str, Any]:
    return {**guest.model_dump(mode="json", exclude_none=True), "state": _word(guest)}


def _word(guest: "Guest") -> str:
    if guest.revoked_at is not None:
        return "revoked"
    return "over" if guest.expires_at <= datetime.now(UTC) else f"until {guest.expires_at:%Y-%m-%d}"


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*names, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
