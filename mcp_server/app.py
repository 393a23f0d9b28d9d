"""The ASGI application: both transports behind names and authentication, and a sign of life for the supervisor."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_server.auth import BearerAuth
from mcp_server.batches import Batches
from mcp_server.bodies import SoundBodies
from mcp_server.names import KnownNamesOnly
from mcp_server.server import build_server
from mcp_server.sse import sse_routes
from mcp_server.stream import STREAM_PATH, SealedSessions
from service.factory import Factory


def build_app(factory: Factory) -> Starlette:
    """Make the application for an open factory.

    Clients of every protocol version come in by the same door; each request is routed by its own headers.
    """
    server = build_server(factory)
    # Left out, it would be on, with names of its own.
    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    stream = server.streamable_http_app(
        streamable_http_path=STREAM_PATH, stateless_http=True, transport_security=unguarded
    )
    sse = sse_routes(server.session_manager.app, factory)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with server.session_manager.run():
            yield

    return Starlette(
        lifespan=lifespan,
        middleware=[
            Middleware(KnownNamesOnly, factory=factory),
            Middleware(BearerAuth, factory=factory),
            Middleware(SealedSessions, factory=factory),
            Middleware(SoundBodies, factory=factory),
            Middleware(Batches, factory=factory),
        ],
        routes=[Route("/healthz", _alive), *stream.routes, *sse],
    )


async def _alive(_: Request) -> JSONResponse:
    """Tell that this process serves; whether the parts behind it do is on the gateway's front page."""
    return JSONResponse({"status": "up"})
