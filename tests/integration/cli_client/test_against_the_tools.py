"""Every command against the real MCP server, with a factory in memory behind it."""

import io
import json
from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr
from rich.console import Console

from cli.client import builds, logs, recipes
from cli.client.failures import ToolFailed
from cli.client.output import Output
from cli.client.session import FactorySession
from cli.client.target import Target
from mcp_server.app import build_app
from tests.fakes.factory import KEYS, World, failed
from tests.integration.cli_client.serving import serving

pytestmark = pytest.mark.integration
BUILD = "5d1c3f0e-8a51-4a3c-9d55-0b6f0e2a7c11"


class Terminal:
    """A session with the factory, and what its commands printed."""

    def __init__(self, session: FactorySession) -> None:
        self.session = session
        self._out = io.StringIO()
        console = Console(file=self._out, width=160, highlight=False)
        self.output = Output(as_json=False, out=console, notes=console)

    @property
    def text(self) -> str:
        return self._out.getvalue()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def terminal(world: World) -> AsyncGenerator[Terminal]:
    async with serving(build_app(world.factory)) as url:
        key = next(k for k, caller in KEYS.items() if caller.org_id == "local" and "build" in caller.permissions)
        async with FactorySession(Target(url=url, key=SecretStr(key))) as session:
            yield Terminal(session)


async def test_whoami(terminal: Terminal) -> None:
    assert await recipes.show_caller(terminal.session, terminal.output) == 0
    assert "may: " in terminal.text


async def test_recipes_are_listed_and_one_is_printed(terminal: Terminal) -> None:
    await recipes.show_recipes(terminal.session, terminal.output, None)
    assert "Demo server" in terminal.text
    await recipes.show_recipes(terminal.session, terminal.output, "demo")
    assert '"baseImage": "debian-bookworm"' in terminal.text


async def test_a_template_is_valid(terminal: Terminal) -> None:
    assert await recipes.validate_recipe(terminal.session, terminal.output, "demo") == 0


async def test_a_build_starts_once_for_one_request_key(terminal: Terminal, world: World) -> None:
    for _ in range(2):
        followed = builds.Followed()
        code = await builds.start_build(
            terminal.session,
            terminal.output,
            "demo",
            asked=builds.Asked(request_key="one"),
            wait=False,
            followed=followed,
        )
        assert code == 0
    assert len(world.workflows.started) == 1
    assert "already known" in terminal.text


async def test_builds_are_listed_and_shown_by_prefix(terminal: Terminal, world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    await builds.list_builds(terminal.session, terminal.output, limit=50, status="failed", cursor=None)
    assert BUILD in terminal.text
    await builds.show_build(terminal.session, terminal.output, "5d1c3f")
    assert "the guest agent never answered" in terminal.text


async def test_an_unknown_build_is_told_as_such(terminal: Terminal) -> None:
    with pytest.raises(ToolFailed, match=r"build\.not_found"):
        await builds.show_build(terminal.session, terminal.output, BUILD)


async def test_a_retry_is_asked_for(terminal: Terminal, world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    followed = builds.Followed()
    await builds.retry_build(terminal.session, terminal.output, BUILD, wait=False, followed=followed)
    assert [build for build, _ in world.workflows.retries] == [BUILD]


async def test_cancel_is_asked_for(terminal: Terminal, world: World) -> None:
    world.build(build_id=BUILD)
    await builds.cancel_build(terminal.session, terminal.output, BUILD, yes=True)
    assert [build for build, _ in world.workflows.cancels] == [BUILD]


async def test_a_log_longer_than_one_answer_is_printed_whole(terminal: Terminal, world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    world.logs.write(BUILD, *(f"line {n}" for n in range(400)))
    await logs.show_log(terminal.session, terminal.output, BUILD, tail=None, follow=True)
    assert [line.rsplit(" ", 1)[1] for line in terminal.text.splitlines()] == [str(n) for n in range(400)]


async def test_the_tail_of_a_log(terminal: Terminal, world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    world.logs.write(BUILD, *(f"line {n}" for n in range(400)))
    await logs.show_log(terminal.session, terminal.output, BUILD, tail=3, follow=False)
    assert terminal.text.count("\n") == 3


async def test_json_is_what_the_tool_answered(terminal: Terminal, world: World) -> None:
    world.build(failed(BUILD), build_id=BUILD)
    out = io.StringIO()
    output = Output(as_json=True, out=Console(file=out), notes=Console(file=io.StringIO()))
    await builds.show_build(terminal.session, output, BUILD)
    assert json.loads(out.getvalue())["failure"]["step"] == "boot"
