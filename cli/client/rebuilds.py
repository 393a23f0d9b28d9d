"""The rebuild commands: schedule, list, change, delete."""

import uuid
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.client import exits
from cli.client.confirm import confirm
from cli.client.exits import EPILOG
from cli.client.failures import UsageFailure
from cli.client.output import Output, run
from cli.client.recipe_source import read_recipe
from cli.client.tools import Tools
from cli.client.words import plain
from domain.errors import Problem
from domain.rebuild.views import SchedulePage, ScheduleView

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="A schedule's id, or its first digits.")]
Every = Annotated[float, typer.Option(min=0.25, help="How often to look, in hours.")]
Jitter = Annotated[float | None, typer.Option(min=0, help="Each look comes up to so many minutes later.")]
_SHORT_ID = 8
_MOST = 30

rebuilds = typer.Typer(no_args_is_help=True, help="Build recipes again when their packages have updates.")


@rebuilds.command("schedule", epilog=EPILOG)
def schedule(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A file, `-`, or a template's name.")],
    *,
    every: Every = 24,
    jitter: Jitter = None,
    as_json: AsJson = False,
) -> None:
    """Look again and again whether a recipe's packages have updates, and build it when they do."""
    arguments = {"every_hours": every, "jitter_minutes": jitter, "request_key": str(uuid.uuid4())}

    async def command(session: Tools, output: Output) -> int:
        answer = await session.call("create_rebuild_schedule", {"recipe": read_recipe(recipe), **arguments})
        return _say(answer, output)

    run(command, as_json=as_json)


@rebuilds.command("list", epilog=EPILOG)
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many, newest first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the page before this one ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List schedules: what they found last, and when they look next."""
    run(partial(list_schedules, limit=limit, cursor=cursor), as_json=as_json)


@rebuilds.command("update", epilog=EPILOG)
def update(
    schedule_id: ScheduleId,
    *,
    every: Annotated[float | None, typer.Option(min=0.25, help="A new interval, in hours.")] = None,
    jitter: Jitter = None,
    pause: Annotated[bool | None, typer.Option("--pause/--resume", help="Look no more for now, or go on.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Look at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change when a schedule looks, pause it or let it go on, or have it look at once."""
    changes = {"every_hours": every, "jitter_minutes": jitter, "paused": pause, "run_now": now}
    run(partial(_change, tool="update_rebuild_schedule", given=schedule_id, changes=changes), as_json=as_json)


@rebuilds.command("delete", epilog=EPILOG)
def delete(
    schedule_id: ScheduleId,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a schedule. Builds that it started stay."""
    run(partial(delete_schedule, given=schedule_id, yes=yes), as_json=as_json)


async def delete_schedule(session: Tools, output: Output, *, given: str, yes: bool) -> int:
    """Delete a schedule. Asks first, unless `yes`."""
    schedule_id = await _resolve(session, given)
    if not yes:
        confirm(f"Delete rebuild schedule {schedule_id}?", "Deleting forgets the schedule for good")
    return await _change(session, output, tool="delete_rebuild_schedule", given=schedule_id, changes={})


async def list_schedules(session: Tools, output: Output, *, limit: int, cursor: str | None) -> int:
    """List schedules, newest first."""
    answer = await session.call("list_rebuild_schedules", {"limit": limit, "cursor": cursor})
    if output.as_json:
        output.json(answer)
        return exits.OK
    page = SchedulePage.model_validate(answer, extra="ignore")
    if not page.schedules:
        output.say("There are no rebuild schedules. Make one: openfactory rebuild schedule demo --every 24")
        return exits.OK
    output.out.print(_table(page))
    if page.next_cursor:
        output.say(f"More: openfactory rebuild list --cursor {page.next_cursor}")
    return exits.OK


async def _change(session: Tools, output: Output, *, tool: str, given: str, changes: dict[str, Any]) -> int:
    arguments = {name: value for name, value in changes.items() if value is not None}
    schedule_id = await _resolve(session, given)
    answer = await session.call(tool, {"schedule_id": schedule_id, "request_key": str(uuid.uuid4()), **arguments})
    return _say(answer, output)


async def _resolve(session: Tools, given: str) -> str:
    """Find the schedule that an id or its first digits mean."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        found = [schedule_id for schedule_id in await _all(session) if schedule_id.startswith(given)]
    if len(found) == 1:
        return found[0]
    what = "No schedule" if not found else "More than one schedule"
    raise UsageFailure(
        Problem(
            code="client.unknown_schedule",
            message=f"{what} begins with `{given[:40]}`.",
            next="See openfactory rebuild list.",
        )
    )


async def _all(session: Tools) -> list[str]:
    """Name every schedule, from all pages: an old one has digits, too."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        answer = await session.call("list_rebuild_schedules", {"limit": _MOST, "cursor": cursor})
        page = SchedulePage.model_validate(answer, extra="ignore")
        found += [view.schedule_id for view in page.schedules]
        cursor = page.next_cursor
        if cursor is None:
            return found


def _say(answer: dict[str, Any], output: Output) -> int:
    if output.as_json:
        output.json(answer)
        return exits.OK
    view = ScheduleView.model_validate(answer, extra="ignore")
    output.say(f"Schedule {view.schedule_id} of {view.name}: {_state(view)}.")
    if view.next_run is not None:
        output.say(f"  next look: {view.next_run.astimezone():%Y-%m-%d %H:%M}")
    return exits.OK


def _state(view: ScheduleView) -> str:
    if view.deleted:
        return "deleted"
    return f"every {view.every_hours:g} h{', paused' if view.paused else ''}"


def _table(page: SchedulePage) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "recipe", "looks", "last", "next", "found"):
        table.add_column(name, no_wrap=name != "found")
    for view in page.schedules:
        found = "" if view.last is None else f"{view.last.outcome.replace('_', ' ')}: {view.last.summary}"
        table.add_row(
            view.schedule_id[:_SHORT_ID],
            plain(view.name),
            _state(view),
            f"{view.last_run.astimezone():%m-%d %H:%M}" if view.last_run else "",
            f"{view.next_run.astimezone():%m-%d %H:%M}" if view.next_run else "",
            plain(found),
        )
    return table
