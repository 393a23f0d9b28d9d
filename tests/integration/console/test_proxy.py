"""The pass-through by itself, in front of a server that shows what reaches it."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from console.html import Pages
from console.keys import PAGES, UPSTREAM
from console.mcp_proxy import McpProxy
from tests.ports import free_ports

pytestmark = pytest.mark.integration


@dataclass
class Upstream:
    """A server that sends events when told to, and notes what it gets."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    headers: dict[str, str] = field(default_factory=dict[str, str])

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Session": "s"})
        await response.prepare(request)
        try:
            await response.write(b"data: first\n\n")
            await self.release.wait()
            await response.write(b"data: second\n\n")
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response

    async def echo(self, request: web.Request) -> web.Response:
        self.headers = dict(request.headers)
        return web.Response(status=418, body=await request.read(), headers={"X-Kept": "yes", "Keep-Alive": "timeout=1"})

    async def cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response


async def _serve(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def edge(upstream: Upstream) -> AsyncGenerator[aiohttp.ClientSession]:
    up_port, port = free_ports(2)
    behind = web.Application(client_max_size=1 << 30)
    behind.router.add_route("*", "/mcp-stream/events", upstream.events)
    behind.router.add_route("*", "/mcp-stream/echo", upstream.echo)
    behind.router.add_route("*", "/mcp-stream/cut", upstream.cut)
    front = web.Application()
    front[PAGES] = Pages("test")

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as client:
            app[UPSTREAM] = client
            yield

    front.cleanup_ctx.append(session)
    front.router.add_route("*", "/mcp-stream/{rest:.*}", McpProxy(f"http://127.0.0.1:{up_port}").handle)
    front.router.add_route("*", "/down/{rest:.*}", McpProxy("http://127.0.0.1:9").handle)
    runners = [await _serve(behind, up_port), await _serve(front, port)]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        yield client
    for runner in reversed(runners):
        await runner.cleanup()


async def test_an_event_arrives_before_the_next_one_is_made(edge: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with edge.post("/mcp-stream/events", data=b"{}") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Session"] == "s"
        assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
        upstream.release.set()
        assert await answer.content.read() == b"data: second\n\n"


async def test_a_client_that_leaves_cancels_the_call_behind(edge: aiohttp.ClientSession, upstream: Upstream) -> None:
    async with edge.get("/mcp-stream/events") as answer:
        await answer.content.readuntil(b"\n\n")
        answer.close()
    async with asyncio.timeout(10):
        await upstream.left.wait()


async def test_bodies_statuses_and_headers_pass_but_those_of_one_hop_do_not(
    edge: aiohttp.ClientSession, upstream: Upstream
) -> None:
    body = b"x" * 3_000_000
    sent = {"Mcp-Method": "tools/call", "Connection": "x-private", "X-Private": "1", "X-Forwarded-For": "6.6.6.6"}
    async with edge.put("/mcp-stream/echo?a=%2F&b=1", data=io.BytesIO(body), headers=sent) as answer:
        assert answer.status == 418
        assert await answer.read() == body
        assert answer.headers["X-Kept"] == "yes"
        assert "Keep-Alive" not in answer.headers
    assert upstream.headers["Mcp-Method"] == "tools/call"
    assert upstream.headers["X-Forwarded-For"] == "127.0.0.1"
    assert "X-Private" not in upstream.headers
    assert upstream.headers["Host"].startswith("127.0.0.1:")


async def test_an_address_with_its_host_or_a_last_slash_is_the_same_address(edge: aiohttp.ClientSession) -> None:
    async with edge.get("/mcp-stream/echo/") as answer:
        assert answer.status == 418
        port = answer.url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    target, host = f"http://127.0.0.1:{port}/mcp-stream/echo", f"127.0.0.1:{port}"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 418 ")
    writer.close()


async def test_half_an_answer_is_never_taken_for_one(edge: aiohttp.ClientSession) -> None:
    async with edge.get("/mcp-stream/cut") as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_nobody_behind_is_503_and_never_404(edge: aiohttp.ClientSession) -> None:
    for method in ("GET", "POST", "DELETE"):
        async with edge.request(method, "/down/mcp", data=b"{}" if method == "POST" else None) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
            assert (await answer.json())["code"] == "mcp.unavailable"
