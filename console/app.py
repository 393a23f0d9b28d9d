"""The aiohttp application of the edge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

from console.assets import Assets
from console.console_board import ConsoleBoard
from console.consoles import asset, console_page, console_socket
from console.downloads import download
from console.front_page import front_page, mark, style_sheet
from console.guard import errors_in_words, known_names_only, safe_headers
from console.guests import make_guest
from console.html import Pages
from console.jobs import jobs
from console.keys import ASSETS, BOARD, CONSOLES, FACTORY, PAGES, PROXIES, UPSTREAM
from console.mcp_proxy import McpProxy
from console.state import StateBoard
from console.uploads import upload
from service.factory import Factory

_CONNECT_SECONDS = 2.0


def build_app(factory: Factory, mcp_url: str, proxies: tuple[IPv4Network | IPv6Network, ...] = ()) -> web.Application:
    """Make the application for an open factory and the MCP server at `mcp_url`, behind `proxies` that are trusted."""
    app = web.Application(middlewares=[errors_in_words, known_names_only])
    app[FACTORY] = factory
    app[PROXIES] = proxies
    app[PAGES] = Pages(factory.version)
    app[ASSETS] = Assets()
    app.on_response_prepare.append(safe_headers)

    async def upstream(app: web.Application) -> AsyncIterator[None]:
        # A new connection for each request: on a kept one that the server has closed meanwhile a POST
        # is lost, and on the loopback a new one costs less than a millisecond.
        async with ClientSession(
            connector=TCPConnector(limit=0, force_close=True),
            timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
        ) as session:
            app[UPSTREAM] = session
            app[BOARD] = StateBoard(factory, session, mcp_url)
            app[CONSOLES] = ConsoleBoard(factory, session)
            watching = asyncio.create_task(app[CONSOLES].watch())
            yield
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    app.cleanup_ctx.append(upstream)
    app.on_shutdown.append(_end_consoles)
    app.router.add_get("/", front_page)
    app.router.add_get("/jobs", jobs)
    app.router.add_post("/guest", make_guest)
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/static/style.css", style_sheet)
    app.router.add_get("/static/mark.svg", mark)
    app.router.add_get("/static/{room:console|vendor}/{path:.+}", asset)
    app.router.add_get("/console/{token}", console_page, allow_head=False)
    app.router.add_get("/console/{token}/ws", console_socket, allow_head=False)
    app.router.add_get("/download/{token}/{name}", download)
    for method in ("OPTIONS", "HEAD", "PATCH"):
        app.router.add_route(method, "/upload/{token}", upload)
    proxy = McpProxy(mcp_url)
    for path in ("/mcp-stream/{rest:.*}", "/mcp/sse", "/mcp/messages"):
        app.router.add_route("*", path, proxy.handle)
    return app


async def _end_consoles(app: web.Application) -> None:
    """Let the pages know, which connect again when the gateway is back."""
    app[CONSOLES].end_all()


async def _alive(_: web.Request) -> web.Response:
    """Tell that this process serves."""
    return web.json_response({"status": "up"}, headers={"Cache-Control": "no-store"})
