"""A batch of 2025-03-26 over a real HTTP server."""

import asyncio
import socket

import httpx2
import pytest
import uvicorn

from mcp_server.app import build_app
from mcp_server.stream import STREAM_PATH
from tests.fakes.factory import World
from tests.integration.front_stack import FrontStack
from tests.unit.mcp_server.http import ACCEPT, hello, key, message

pytestmark = pytest.mark.integration

BATCH = [
    message("notifications/initialized", None),
    message("tools/call", 7, name="whoami", arguments={}),
    message("ping", 8),
    message("no/such", 9),
]


async def test_a_batch_is_answered_with_an_array_and_others_go_on_as_ever() -> None:
    server = uvicorn.Server(uvicorn.Config(build_app(World().factory), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as door:
        serving = asyncio.create_task(server.serve(sockets=[door]))
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, headers={**ACCEPT, **key()}, trust_env=False) as http:
            await _ask(http)
        server.should_exit = True
        await serving


async def test_a_batch_goes_through_the_gateway(front_stack: FrontStack) -> None:
    who = {"Authorization": f"Bearer {front_stack.secrets.operator_key()}"}
    async with httpx2.AsyncClient(base_url=front_stack.url, headers={**ACCEPT, **who}, trust_env=False) as http:
        await _ask(http)


async def _ask(http: httpx2.AsyncClient) -> None:
    opened = await http.post(STREAM_PATH, json=hello("2025-03-26"))
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
    for headers in (session, {}):
        answer = await http.post(STREAM_PATH, json=BATCH, headers=headers)
        assert answer.status_code == 200
        who, pong, unknown = answer.json()
        assert (who["id"], who["result"]["structuredContent"]["subject"]) == (7, "operator")
        assert (pong["id"], pong["result"]) == (8, {})
        assert (unknown["id"], unknown["error"]["code"]) == (9, -32601)
    told = await http.post(STREAM_PATH, json=BATCH[:1], headers=session)
    assert (told.status_code, told.content) == (202, b"")
    later = await http.post(STREAM_PATH, json=BATCH, headers={"MCP-Protocol-Version": "2025-06-18"})
    assert later.status_code == 400
    assert (await http.post(STREAM_PATH, json=message("ping"), headers=session)).status_code == 200
