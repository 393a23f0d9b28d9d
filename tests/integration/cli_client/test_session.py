import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, TextContent
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from cli.client.failures import ClientFailure, KeyRefused, ToolFailed, Unreachable
from cli.client.session import FactorySession
from cli.client.target import Target
from domain.errors import Problem
from tests.integration.cli_client.serving import serving

pytestmark = pytest.mark.integration
KEY = "of_test_key"


class Gate:
    """Lets a key in, and plays a factory that is down when told to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.answer_instead: int | None = None
        self.words = b""
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.requests += 1
        status = self.answer_instead
        if dict(scope["headers"]).get(b"authorization") != f"Bearer {KEY}".encode():
            status = 401
        if status is None:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": self.words})


class Server:
    def __init__(self, url: str, gate: Gate) -> None:
        self.url = url
        self.gate = gate

    def session(self, key: str = KEY) -> FactorySession:
        return FactorySession(Target(url=self.url, key=SecretStr(key)))


def _tools() -> MCPServer[None]:
    server: MCPServer[None] = MCPServer("test", log_level="CRITICAL")

    @server.tool()
    async def echo(number: int, word: str = "default") -> dict[str, str]:
        return {"said": f"{word} {number}"}

    @server.tool()
    async def refuse() -> CallToolResult:
        problem = {"code": "build.not_found", "message": "There is no such build.", "path": "build_id", "new": 1}
        return CallToolResult(
            is_error=True, content=[TextContent(text="in words")], structured_content={**problem, "problems": [problem]}
        )

    @server.tool()
    async def refuse_in_words() -> CallToolResult:
        return CallToolResult(is_error=True, content=[TextContent(text="only words")])

    assert echo
    assert refuse
    assert refuse_in_words
    return server


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    gate = Gate(_tools().streamable_http_app(streamable_http_path="/mcp-stream/mcp"))
    async with serving(gate) as url:
        yield Server(url, gate)


async def test_a_tool_answers_with_its_structured_content(server: Server) -> None:
    async with server.session() as session:
        assert await session.call("echo", {"number": 3}) == {"said": "default 3"}


async def test_a_call_is_one_request(server: Server) -> None:
    async with server.session() as session:
        await session.call("echo", {"number": 3})
    assert server.gate.requests == 1


async def test_arguments_that_are_none_are_left_out(server: Server) -> None:
    async with server.session() as session:
        assert await session.call("echo", {"number": 1, "word": None}) == {"said": "default 1"}


async def test_a_refusal_brings_its_problems_and_ignores_fields_of_a_newer_factory(server: Server) -> None:
    async with server.session() as session:
        with pytest.raises(ToolFailed) as failure:
            await session.call("refuse", {})
    assert [(p.code, p.path) for p in failure.value.problems] == [("build.not_found", "build_id")]
    assert failure.value.exit_code == 1


async def test_a_refusal_in_words_alone_is_told_in_these_words(server: Server) -> None:
    async with server.session() as session:
        with pytest.raises(ToolFailed, match="only words"):
            await session.call("refuse_in_words", {})


async def test_a_wrong_key_is_told_as_such(server: Server) -> None:
    async with server.session("of_other") as session:
        with pytest.raises(KeyRefused) as failure:
            await session.call("echo", {"number": 1})
    assert failure.value.exit_code == 77
    assert "of_other" not in str(failure.value)


@pytest.mark.parametrize("status", [502, 503, 404])
async def test_a_factory_that_is_starting_is_unreachable_and_the_session_outlives_it(
    server: Server, status: int
) -> None:
    async with server.session() as session:
        server.gate.answer_instead = status
        with pytest.raises(Unreachable) as failure:
            await session.call("echo", {"number": 1})
        assert failure.value.exit_code == 69
        server.gate.answer_instead = None
        assert await session.call("echo", {"number": 2}) == {"said": "default 2"}


@pytest.mark.parametrize(("status", "retryable", "exit_code"), [(421, False, 1), (429, True, 69)])
async def test_what_the_door_refuses_is_told_in_its_words(
    server: Server, status: int, retryable: bool, exit_code: int
) -> None:
    problem = Problem(code="door.shut", message="Not by this name.", retryable=retryable, next="Use another.")
    server.gate.answer_instead, server.gate.words = status, problem.model_dump_json().encode()
    async with server.session() as session:
        with pytest.raises(ClientFailure) as failure:
            await session.call("echo", {"number": 1})
    assert failure.value.problems == (problem,)
    assert failure.value.exit_code == exit_code


@pytest.mark.parametrize("status", [200, 301, 400, 413, 421, 500])
async def test_an_answer_that_is_none_is_a_refusal_too(server: Server, status: int) -> None:
    server.gate.answer_instead, server.gate.words = status, b"<html>"
    async with server.session() as session:
        with pytest.raises(ToolFailed) as failure:
            await session.call("echo", {"number": 1})
    assert failure.value.problems[0].code == "tool.refused"


async def test_nothing_listening_says_how_to_start_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = Target(url=f"http://127.0.0.1:{unused.getsockname()[1]}", key=SecretStr(KEY))
        async with FactorySession(target) as session:
            with pytest.raises(Unreachable) as failure:
                await session.call("echo", {"number": 1})
    assert "./openfactory up" in str(failure.value.problems[0].next)


async def test_a_call_can_be_cancelled_and_the_session_goes_on(server: Server) -> None:
    async with server.session() as session:
        call = asyncio.create_task(session.call("echo", {"number": 1}))
        await asyncio.sleep(0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert await session.call("echo", {"number": 2}) == {"said": "default 2"}
