"""The suite commands: write, list, show, bind, run."""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.client import exits
from cli.client.exits import EPILOG
from cli.client.failures import UsageFailure
from cli.client.output import Output, run
from cli.client.recipe_source import read_recipe
from cli.client.suite_view import render_suite
from cli.client.test_ids import resolve_run, resolve_suite
from cli.client.test_runs import AsJson, Followed, Hold, Html, Junit, Reports, Wait, show_page, started
from cli.client.tools import Tools
from cli.client.words import plain
from domain.errors import Problem
from domain.suite.views import SuitePage, SuiteView

SuiteId = Annotated[str, typer.Argument(metavar="SUITE", help="A suite's name, its id, its first digits, or `latest`.")]
Document = Annotated[
    str, typer.Argument(metavar="FILE", help="A YAML or JSON file, `-` for standard input, or an example's name.")
]
suites = typer.Typer(no_args_is_help=True, help="Reusable test suites with named machines.")


@suites.command("list", epilog=EPILOG)
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many, newest first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the page before this one ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List suites and the built-in examples."""
    run(partial(list_suites, limit=limit, cursor=cursor), as_json=as_json)


@suites.command("create", epilog=EPILOG)
def create(
    document: Document,
    *,
    request_key: Annotated[str | None, typer.Option(help="A name for this request: repeating it is harmless.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a suite; its images are bound later."""
    run(partial(create_suite, document=document, request_key=request_key), as_json=as_json)


@suites.command("update", epilog=EPILOG)
def update(suite: SuiteId, document: Document, *, as_json: AsJson = False) -> None:
    """Write a suite anew; images stay bound to the slots that are still there."""
    run(partial(update_suite, given=suite, document=document), as_json=as_json)


@suites.command("show", epilog=EPILOG)
def show(suite: SuiteId, *, as_json: AsJson = False) -> None:
    """Show a suite: slots and their images, cases, and what a run would stumble over."""
    run(partial(show_suite, given=suite, tool="get_test_suite"), as_json=as_json)


@suites.command("status", epilog=EPILOG)
def status(suite: SuiteId, *, as_json: AsJson = False) -> None:
    """Say whether a suite can be run, and how its latest run went; exit 1 if it cannot."""
    run(partial(show_suite, given=suite, tool="get_test_suite_status"), as_json=as_json)


@suites.command("bind", epilog=EPILOG)
def bind(
    suite: SuiteId,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="SLOT=TARGET...",
            help="A build (an id, `latest`, `latest-verified:demo`), with `:iso` for its ISO; image:ID; or - for none.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Bind images to slots."""
    run(partial(bind_targets, given=suite, targets=targets), as_json=as_json)


@suites.command("run", epilog=EPILOG)
def run_(  # noqa: PLR0913 - the command's options
    suite: SuiteId,
    *,
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only cases with this tag; may be repeated.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter's value.")] = None,
    rerun: Annotated[str | None, typer.Option(metavar="RUN", help="Only what did not pass in that run.")] = None,
    hold: Hold = 0,
    wait: Wait = False,
    junit: Junit = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Boot all bound images together and run the cases."""
    followed = Followed()
    ask = {"cases": case or None, "tags": tag or None, "hold_minutes": hold}
    command = partial(
        run_suite,
        given=suite,
        ask=ask,
        parameters=param or (),
        rerun=rerun,
        wait=wait,
        reports=Reports(junit, html),
        followed=followed,
    )
    run(command, as_json=as_json, on_interrupt=followed.farewell)


@suites.command("runs", epilog=EPILOG)
def runs(
    suite: SuiteId,
    *,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many, newest first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the page before this one ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """List a suite's runs."""
    run(partial(list_suite_runs, given=suite, limit=limit, cursor=cursor), as_json=as_json)


async def list_suites(session: Tools, output: Output, *, limit: int, cursor: str | None) -> int:
    """List suites, newest first."""
    answer = await session.call("list_test_suites", {"limit": limit, "cursor": cursor})
    if output.as_json:
        output.json(answer)
        return exits.OK
    page = SuitePage.model_validate(answer, extra="ignore")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "name", "slots", "cases", "bound", "what it is"):
        table.add_column(name, no_wrap=name != "what it is", justify="right" if name == "cases" else "left")
    for suite in page.suites:
        slots = plain(", ".join(suite.slots))
        bound = f"{len(suite.bound)} of {len(suite.slots)}"
        table.add_row(suite.suite_id[:8], plain(suite.name), slots, str(suite.cases), bound, plain(suite.description))
    if page.suites:
        output.out.print(table)
    for example in page.examples:
        output.out.print(Text("example ", style="dim").append_text(plain(f"{example.name}: {example.description}")))
    if page.examples:
        output.say("Keep one: openfactory suite create NAME. Change one: openfactory suite show SUITE --json")
    if page.next_cursor:
        output.say(f"More: openfactory suite list --cursor {page.next_cursor}")
    return exits.OK


async def create_suite(session: Tools, output: Output, *, document: str, request_key: str | None) -> int:
    """Keep a suite."""
    arguments = {"suite": read_recipe(document, "suite"), "request_key": request_key or str(uuid.uuid4())}
    return _shown(await session.call("create_test_suite", arguments), output)


async def update_suite(session: Tools, output: Output, *, given: str, document: str) -> int:
    """Write a suite anew."""
    suite_id = await resolve_suite(session, given)
    arguments = {"suite_id": suite_id, "suite": read_recipe(document, "suite"), "request_key": str(uuid.uuid4())}
    return _shown(await session.call("update_test_suite", arguments), output)


async def show_suite(session: Tools, output: Output, *, given: str, tool: str) -> int:
    """Show a suite; its status ends with 1 if it cannot be run."""
    whole = {"detail": "full"} if tool == "get_test_suite" else {}
    answer = await session.call(tool, {"suite_id": await resolve_suite(session, given), **whole})
    code = _shown(answer, output)
    readiness = SuiteView.model_validate(answer, extra="ignore").readiness
    blocked = tool == "get_test_suite_status" and readiness is not None and not readiness.ready
    return exits.FAILED if blocked else code


async def bind_targets(session: Tools, output: Output, *, given: str, targets: Sequence[str]) -> int:
    """Bind images to slots."""
    chosen = {slot: None if value in {"", "-"} else value for slot, value in map(_pair, targets)}
    suite_id = await resolve_suite(session, given)
    arguments = {"suite_id": suite_id, "targets": chosen, "request_key": str(uuid.uuid4())}
    return _shown(await session.call("update_test_suite_targets", arguments), output)


async def run_suite(  # noqa: PLR0913 - the command's options
    session: Tools,
    output: Output,
    *,
    given: str,
    ask: dict[str, Any],
    parameters: Sequence[str],
    rerun: str | None,
    wait: bool,
    reports: Reports,
    followed: Followed,
) -> int:
    """Run a suite; with `wait` follow it to its end."""
    suite_id = await resolve_suite(session, given)
    values = await _values(session, suite_id, parameters) if parameters else None
    before = await resolve_run(session, rerun) if rerun else None
    identity = {"suite_id": suite_id, "rerun_of": before, "request_key": str(uuid.uuid4())}
    answer = await session.call("run_test_suite", {**ask, **identity, "parameters": values})
    return await started(session, output, answer, wait=wait, reports=reports, followed=followed)


async def list_suite_runs(session: Tools, output: Output, *, given: str, limit: int, cursor: str | None) -> int:
    """List a suite's runs."""
    suite_id = await resolve_suite(session, given)
    answer = await session.call("list_test_suite_runs", {"suite_id": suite_id, "limit": limit, "cursor": cursor})
    return show_page(answer, output, f"openfactory suite runs {suite_id}")


def _shown(answer: dict[str, Any], output: Output) -> int:
    if output.as_json:
        output.json(answer)
    else:
        render_suite(SuiteView.model_validate(answer, extra="ignore"), output.out)
    return exits.OK


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageFailure(
            Problem(code="client.no_pair", message=f"This is not NAME=VALUE: {text}", next="Write primary=latest.")
        )
    return name, value


async def _values(session: Tools, suite_id: str, given: Sequence[str]) -> dict[str, str | bool | int]:
    """Give each value the type that its parameter has."""
    answer = await session.call("get_test_suite", {"suite_id": suite_id, "detail": "full"})
    document = SuiteView.model_validate(answer, extra="ignore").document or {}
    defaults = {str(p.get("name")): p.get("default") for p in document.get("parameters", ())}
    return {name: _typed(value, defaults.get(name, "")) for name, value in map(_pair, given)}


def _typed(value: str, default: object) -> str | bool | int:
    if isinstance(default, bool) and value in {"true", "false"}:
        return value == "true"
    whole = value.removeprefix("-").isdecimal()
    return int(value) if isinstance(default, int) and not isinstance(default, bool) and whole else value
