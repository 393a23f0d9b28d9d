"""`openfactory demo`: one image built, booted and verified by the public road, and what came of it."""

import asyncio
import json
import signal
import sys
import time
import uuid
from contextlib import suppress
from typing import Any

from pydantic import SecretStr
from rich.console import Console

from cli.client.build_view import follow_build, parse_view, render_report
from cli.client.failures import ClientFailure
from cli.client.recipe_source import read_recipe
from cli.client.session import FactorySession
from cli.client.target import Target
from cli.client.words import plain, problem_text
from cli.stack.background import BackgroundStack
from cli.stack.demo_report import DemoReport, judge, say_files
from cli.stack.environment import ROOT
from cli.stack.parts import reachable
from domain.errors import FactoryError, Problem
from domain.views import BuildView, DownloadLinks
from infra.keys import Secrets
from infra.settings import Settings

_CANCEL_SECONDS = 5.0
_INTERRUPTED = 130


def run_demo(settings: Settings, *, keep: bool, as_json: bool) -> int:
    """Run the demo and print its report; answers 0 only for a verified image.

    Progress goes to standard error with `as_json`, whose object is the last line of standard output.
    """
    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(plain(f"[{time.monotonic() - began:5.1f} s] {text}"), soft_wrap=True)

    stack = BackgroundStack(settings, say, keep=keep)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops in the same order as Ctrl-C
    try:
        stack.start()
        report = asyncio.run(_build(settings, console, as_json=as_json))
        report = report.with_total(time.monotonic() - began)
        say_files(report, settings, console, reachable_later=keep or not stack.started_here)
    except (FactoryError, ClientFailure) as error:
        report = _failed(error.problems, console, time.monotonic() - began)
    except KeyboardInterrupt:
        say("interrupted")
        return _INTERRUPTED
    finally:
        if stack.started_here and not keep:
            say("stopping the stack")
        stack.stop()
    if keep and stack.started_here:
        say("the stack goes on; stop it with: openfactory down")
    if as_json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    return 0 if report.verified else 1


async def _build(settings: Settings, console: Console, *, as_json: bool) -> DemoReport:
    target = Target(
        url=f"http://{_authority(settings)}",
        key=SecretStr(Secrets(settings.secrets).operator_key()),
    )
    async with FactorySession(target) as session:
        document = read_recipe(str(ROOT / "recipes" / "demo.yaml"))
        answer = await session.call("create_build", {"recipe": document, "request_key": str(uuid.uuid4())})
        build_id = parse_view(answer).build_id
        try:
            await follow_build(session, build_id, console, json_mode=as_json)
        except (asyncio.CancelledError, KeyboardInterrupt):
            await _cancel(session, build_id)
            raise
        view = await session.call("get_build_status", {"build_id": build_id, "detail": "full"})
        links = await _links(session, build_id)
    console.print()
    render_report(view, console)
    return judge(BuildView.model_validate(view, extra="ignore"), links)


async def _cancel(session: FactorySession, build_id: str) -> None:
    """End the build, or it would go on at the next start of the stack."""
    with suppress(ClientFailure, TimeoutError):
        async with asyncio.timeout(_CANCEL_SECONDS):
            await session.call("cancel_build", {"build_id": build_id, "request_key": f"demo-cancel-{build_id}"})


async def _links(session: FactorySession, build_id: str) -> DownloadLinks | None:
    try:
        answer: dict[str, Any] = await session.call("get_download_links", {"build_id": build_id})
    except ClientFailure:
        return None  # a build that failed early has no files
    return DownloadLinks.model_validate(answer, extra="ignore")


def _failed(problems: tuple[Problem, ...], console: Console, seconds: float) -> DemoReport:
    for problem in problems:
        console.print(problem_text(problem), soft_wrap=True)
    return DemoReport(build_id=None, status="not_built", total_seconds=seconds)


def _authority(settings: Settings) -> str:
    host = reachable(settings.bind)
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
