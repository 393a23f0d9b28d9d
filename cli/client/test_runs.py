"""The test-run commands: verify a build or machine, list, show and cancel runs, save their reports."""

import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.confirm import confirm
from cli.client.exits import EPILOG
from cli.client.failures import UsageFailure
from cli.client.output import Output, run
from cli.client.test_ids import resolve_run
from cli.client.test_run_files import Reports, save_files
from cli.client.test_run_view import STYLES, exit_code, follow_run, parse_run, render_run
from cli.client.tools import Tools
from cli.client.words import duration, plain
from domain.errors import Problem
from domain.test_run.views import RunPage

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its first digits, or `latest`.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the run until it has ended; Ctrl-C leaves it running.")]
Hold = Annotated[int, typer.Option(min=0, max=1440, help="If it does not pass, keep its machines so many minutes.")]
Junit = Annotated[Path | None, typer.Option(help="Save the JUnit XML report here (with --wait).")]
Html = Annotated[Path | None, typer.Option(help="Save the HTML report here (with --wait).")]

test_runs = typer.Typer(no_args_is_help=True, help="Verifications, and runs of suites.")


@dataclass
class Followed:
    """Which run a command is following, for what is said after Ctrl-C."""

    run_id: str | None = None

    def farewell(self) -> str | None:
        """Say that the run goes on; nothing if none is followed."""
        if self.run_id is None:
            return None
        return (
            "The test run goes on without this command.\n"
            f"  look:    openfactory test-run show {self.run_id}\n"
            f"  end it:  openfactory test-run cancel {self.run_id}"
        )


@test_runs.command("list", epilog=EPILOG)
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many, newest first.")] = 20,
    status: Annotated[str | None, typer.Option(help="Only passed, failed, error, … ones.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before this one ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List test runs."""
    run(partial(list_runs, limit=limit, status=status, cursor=cursor), as_json=as_json)


@test_runs.command("show", epilog=EPILOG)
def show(
    run_id: RunId,
    *,
    junit: Junit = None,
    html: Html = None,
    files: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Save all files of the run here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one run: cases, assertions with their evidence, what changed, and its files."""
    run(partial(show_run, given=run_id, reports=Reports(junit, html, files)), as_json=as_json)


@test_runs.command("cancel", epilog=EPILOG)
def cancel(
    run_id: RunId,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a run and remove its machines."""
    run(partial(cancel_run, given=run_id, yes=yes), as_json=as_json)


@test_runs.command("verify", epilog=EPILOG)
def verify(  # noqa: PLR0913 - the command's options
    build: Annotated[
        str | None,
        typer.Argument(
            metavar="BUILD",
            help="A build's id, its first digits, `latest`, `latest-verified`, or either of one recipe: `latest:demo`.",
        ),
    ] = None,
    *,
    vm: Annotated[str | None, typer.Option(help="Or a running machine's id.")] = None,
    wait: Wait = False,
    hold: Hold = 0,
    junit: Junit = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Run the default tests and the recipe's own on a build or a running machine."""
    followed = Followed()
    command = partial(
        verify_target, build=build, vm=vm, hold=hold, wait=wait, reports=Reports(junit, html), followed=followed
    )
    run(command, as_json=as_json, on_interrupt=followed.farewell)


async def list_runs(session: Tools, output: Output, *, limit: int, status: str | None, cursor: str | None) -> int:
    """List runs, newest first."""
    answer = await session.call("list_test_runs", {"limit": limit, "status": status, "cursor": cursor})
    return show_page(answer, output, "openfactory test-run list")


def show_page(answer: dict[str, Any], output: Output, command: str) -> int:
    """Print a page of runs; `command` is what shows the next one."""
    if output.as_json:
        output.json(answer)
        return exits.OK
    page = RunPage.model_validate(answer, extra="ignore")
    if not page.runs:
        output.say("There are no test runs. Start one: openfactory test-run verify latest --wait")
        return exits.OK
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "name", "kind", "status", "passed", "created", "time", "failure"):
        table.add_column(name, no_wrap=name != "failure", justify="right" if name in {"passed", "time"} else "left")
    for item in page.runs:
        table.add_row(
            item.run_id[:8],
            plain(item.name),
            item.kind,
            Text(item.status, style=STYLES[item.status]),
            f"{item.counts.passed}/{item.counts.total}",
            f"{item.created_at.astimezone():%Y-%m-%d %H:%M}",
            duration(item.seconds),
            plain(item.failure, "red"),
        )
    output.out.print(table)
    if page.next_cursor:
        output.say(f"More: {command} --cursor {page.next_cursor}")
    return exits.OK


async def show_run(session: Tools, output: Output, *, given: str, reports: Reports) -> int:
    """Show one run as it is now."""
    run_id = await resolve_run(session, given)
    answer = await session.call("get_test_run", {"run_id": run_id, "detail": "full"})
    return await ended(output, answer, reports, code=exits.OK)


async def cancel_run(session: Tools, output: Output, *, given: str, yes: bool) -> int:
    """End a run. Asks first, unless `yes`."""
    run_id = await resolve_run(session, given)
    if not yes:
        confirm(f"End test run {run_id}?", "Cancelling ends the run for good")
    answer = await session.call("cancel_test_run", {"run_id": run_id, "request_key": f"cli-cancel-{run_id}"})
    if output.as_json:
        output.json(answer)
    else:
        output.say(f"Test run {run_id}: {parse_run(answer).status}.")
    return exits.OK


async def verify_target(  # noqa: PLR0913 - the command's options
    session: Tools,
    output: Output,
    *,
    build: str | None,
    vm: str | None,
    hold: int,
    wait: bool,
    reports: Reports,
    followed: Followed,
) -> int:
    """Verify a build or a running machine."""
    if (build is None) == (vm is None):
        raise UsageFailure(
            Problem(code="client.what", message="Give a build, or --vm with a machine.", next="Name one of the two.")
        )
    ask = {"vm_id": vm, "build_id": build}
    answer = await session.call("run_verification", {**ask, "hold_minutes": hold, "request_key": str(uuid.uuid4())})
    return await started(session, output, answer, wait=wait, reports=reports, followed=followed)


async def started(
    session: Tools, output: Output, answer: dict[str, Any], *, wait: bool, reports: Reports, followed: Followed
) -> int:
    """Say that a run was accepted, or follow it to its end."""
    view = parse_run(answer)
    followed.run_id = view.run_id
    if not wait:
        if output.as_json:
            output.json(answer)
        else:
            output.say(f"Test run {view.name} ({view.run_id}): {view.status}.")
            output.say(f"  look: openfactory test-run show {view.run_id}")
        return exits.OK
    final = await follow_run(session, view.run_id, output.progress, live=not output.as_json)
    return await ended(output, final, reports, code=exit_code(parse_run(final)))


async def ended(output: Output, answer: dict[str, Any], reports: Reports, *, code: int) -> int:
    """Print a run and save its reports."""
    view = parse_run(answer)
    if output.as_json:
        output.json(answer)
    else:
        render_run(view, output.out)
    await save_files(view, reports, output)
    return code
