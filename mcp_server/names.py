"""Refuses requests that call the factory by a name it does not have, or that come from a foreign page."""

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.auth import OPEN
from service.factory import Factory
from service.hosts import names_problem

_NO_STORE: Final = {"Cache-Control": "no-store"}


class KnownNamesOnly:
    """Judges Host and Origin as the gateway does; the SDK's own check is off, for it takes `Localhost` for foreign.

    Pure ASGI, before all else.
    """

    def __init__(self, app: ASGIApp, factory: Factory) -> None:
        self._app = app
        self._allowed = factory.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, or say what is wrong with its names."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = names_problem(headers.get("host"), headers.get("origin"), self._allowed)
        if refused is None:
            await self._app(scope, receive, send)
            return
        status, problem = refused
        await JSONResponse(problem.model_dump(exclude_none=True), status, _NO_STORE)(scope, receive, send)
