"""The whole ASGI application over a fake factory, asked by HTTP without a network."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from mcp_server.app import build_app
from mcp_server.stream import STREAM_PATH
from tests.fakes.factory import World

MODERN = "2026-07-28"
ACCEPT = {"Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def served(world: World) -> AsyncGenerator[httpx2.AsyncClient]:
    """Start the application anew, as a restart does."""
    app = build_app(world.factory)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:7300", headers=ACCEPT) as http:
            yield http


def key(name: str = "operator-key", **more: str) -> dict[str, str]:
    """Make the headers of a caller."""
    return {"Authorization": f"Bearer {name}", **{k.replace("_", "-"): v for k, v in more.items()}}


def message(method: str, number: int | None = 1, **params: Any) -> dict[str, Any]:
    """Make a request, or a notification without a number."""
    numbered = {} if number is None else {"id": number}
    return {"jsonrpc": "2.0", **numbered, "method": method, "params": params}


def hello(version: str) -> dict[str, Any]:
    """Make an `initialize`."""
    return message("initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "t", "version": "1"})


async def begin(http: httpx2.AsyncClient, version: str = "2025-06-18", who: str = "operator-key") -> str:
    """Open a session and return its id."""
    answer = await http.post(STREAM_PATH, json=hello(version), headers=key(who))
    assert answer.status_code == 200
    return answer.headers["Mcp-Session-Id"]


def modern(method: str, capabilities: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    """Make a request of 2026-07-28, which carries what a handshake told before."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities or {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    }
    return message(method, **params, _meta=meta)


def modern_headers(method: str, name: str | None = None) -> dict[str, str]:
    """Make the headers that such a request needs."""
    named = {} if name is None else {"Mcp-Name": name}
    return {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, **named}


def answered(response: httpx2.Response) -> dict[str, Any]:
    """Read the answer to a request, sent as JSON or as one event."""
    if response.headers["Content-Type"].startswith("application/json"):
        return response.json()
    [data] = [line[6:] for line in response.text.splitlines() if line.startswith("data: ") and line[6:]]
    return json.loads(data)
