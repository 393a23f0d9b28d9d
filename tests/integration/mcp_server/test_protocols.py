"""Every protocol version as it looks on the wire, through the gateway, and what a restart does to each."""

import asyncio
import json
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.integration.front_stack import FrontStack
from tests.unit.mcp_server.http import ACCEPT, MODERN, answered, hello, message, modern, modern_headers

pytestmark = pytest.mark.integration

STREAM = "/mcp-stream/mcp"
HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


@pytest.fixture
async def http(front_stack: FrontStack) -> AsyncGenerator[httpx2.AsyncClient]:
    headers = {**ACCEPT, "Authorization": f"Bearer {front_stack.secrets.operator_key()}"}
    timeout = httpx2.Timeout(40)
    async with httpx2.AsyncClient(
        base_url=front_stack.url, headers=headers, timeout=timeout, trust_env=False
    ) as client:
        yield client


def subject(result: dict[str, Any]) -> str:
    """Read who whoami says we are; the oldest clients read the text."""
    assert "operator" in result["content"][0]["text"]
    return result["structuredContent"]["subject"]


@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("version", HANDSHAKES)
async def test_a_client_with_a_handshake_is_served_over_streamable_http(
    http: httpx2.AsyncClient, version: str, *, stateful: bool
) -> None:
    opened = await http.post(STREAM, json=hello(version))
    result = answered(opened)["result"]
    assert result["protocolVersion"] == version
    assert result["serverInfo"]["name"] == "openfactory"
    headers = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]} if stateful else {}
    if version >= "2025-06-18":  # the first that sends it
        headers["MCP-Protocol-Version"] = version
    ready = await http.post(STREAM, json=message("notifications/initialized", None), headers=headers)
    assert ready.status_code == 202
    listed = answered(await http.post(STREAM, json=message("tools/list"), headers=headers))["result"]
    assert "create_build" in {tool["name"] for tool in listed["tools"]}
    called = await http.post(STREAM, json=message("tools/call", name="whoami", arguments={}), headers=headers)
    assert subject(answered(called)["result"]) == "operator"


async def test_a_client_of_2026_07_28_is_served_without_a_handshake(http: httpx2.AsyncClient) -> None:
    discover = modern_headers("server/discover")
    found = answered(await http.post(STREAM, json=modern("server/discover"), headers=discover))["result"]
    assert MODERN in found["supportedVersions"]
    headers = modern_headers("tools/call", "whoami")
    request = modern("tools/call", name="whoami", arguments={})
    assert subject(answered(await http.post(STREAM, json=request, headers=headers))["result"]) == "operator"
    wrong = await http.post(STREAM, json=request, headers={**headers, "Mcp-Name": "list_builds"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, -32020)


@dataclass
class OldStream:
    """A client of HTTP+SSE: posts to the address that its stream told it, and reads the stream."""

    http: httpx2.AsyncClient
    events: AsyncIterator[str]
    address: str = ""

    async def next(self) -> str:
        """Return the data of the next event."""
        async for line in self.events:
            if line.startswith("data: "):
                return line[6:]
        raise EOFError

    async def rest(self) -> None:
        """Read until the stream ends."""
        while True:
            await self.next()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Post a request and read its answer from the stream."""
        posted = await self.http.post(self.address, json=request)
        assert posted.status_code == 202, posted.text
        return json.loads(await self.next())["result"]


@asynccontextmanager
async def old_stream(http: httpx2.AsyncClient) -> AsyncGenerator[OldStream]:
    async with http.stream("GET", "/mcp/sse") as response:
        assert response.status_code == 200, await response.aread()
        stream = OldStream(http, response.aiter_lines())
        stream.address = await stream.next()
        assert stream.address.startswith("/mcp/messages?session_id=")
        yield stream


async def blocks(stream: OldStream) -> list[str]:
    """Tell what a tool with links answers with."""
    shown = await stream.ask(message("tools/call", 3, name="get_recipe", arguments={"name": "demo"}))
    return [block["type"] for block in shown["content"]]


@pytest.mark.parametrize("version", HANDSHAKES)
async def test_a_client_of_http_and_sse_is_served(http: httpx2.AsyncClient, version: str) -> None:
    async with old_stream(http) as stream:
        assert (await stream.ask(hello(version)))["protocolVersion"] == version
        await http.post(stream.address, json=message("notifications/initialized", None))
        refused = await http.post(stream.address, json={"method": 7})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
        called = await stream.ask(message("tools/call", 2, name="whoami", arguments={}))
        assert subject(called) == "operator"


async def test_a_restart_is_503_and_never_404_for_sessions_and_streams(
    http: httpx2.AsyncClient, front_stack: FrontStack
) -> None:
    opened = await http.post(STREAM, json=hello("2025-06-18"))
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
    ping, over = message("ping"), threading.Event()

    def knock(address: str, headers: dict[str, str]) -> set[int]:
        seen = set[int]()
        with httpx2.Client(base_url=front_stack.url, headers=http.headers, timeout=40, trust_env=False) as door:
            while not over.is_set():
                answer = door.post(address, json=ping, headers=headers)
                seen.add(answer.status_code)
                assert answer.status_code != 503 or answer.headers["Retry-After"] == "1"
        return seen

    async with old_stream(http) as stream:
        await stream.ask(hello("2024-11-05"))
        doors = [(STREAM, session), (stream.address, dict[str, str]())]
        knocking = [asyncio.create_task(asyncio.to_thread(knock, *door)) for door in doors]
        front_stack.stop("mcp_server", signal.SIGKILL)
        with pytest.raises((httpx2.HTTPError, EOFError)):
            await stream.rest()  # the stream is cut, which its client sees
        # In this thread: the process ends with the thread that started it.
        front_stack.start("mcp_server")
        over.set()
        seen = set[int]().union(*await asyncio.gather(*knocking))
    assert 503 in seen
    assert seen <= {200, 202, 503}
    # Both go on: the session as it is, the stream by being opened again, with no new handshake.
    assert answered(await http.post(STREAM, json=ping, headers=session))["result"] == {}
    async with old_stream(http) as stream:
        assert subject(await stream.ask(message("tools/call", 2, name="whoami", arguments={}))) == "operator"
        assert await blocks(stream) == ["text"]  # links are younger than such a client may be


@pytest.mark.parametrize("version", HANDSHAKES)
async def test_a_stream_that_is_opened_again_is_the_oldest_clients_until_it_says_another_version(
    http: httpx2.AsyncClient, version: str
) -> None:
    async with old_stream(http) as stream:
        assert await blocks(stream) == ["text"]
        await stream.ask(hello(version))
        assert await blocks(stream) == (["text"] if version < "2025-06-18" else ["text", "resource_link"])


async def test_an_open_stream_does_not_keep_the_server_from_stopping(
    http: httpx2.AsyncClient, front_stack: FrontStack
) -> None:
    async with old_stream(http) as stream:
        await stream.ask(hello("2024-11-05"))
        assert front_stack.stop("mcp_server") == 0
        front_stack.start("mcp_server")
