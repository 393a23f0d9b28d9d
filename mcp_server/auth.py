"""Lets only authenticated requests through to the MCP transports."""

import json
from typing import Final

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.caller import Caller
from domain.errors import Fault, Problem, Verdict
from mcp_server.callers import SCOPE_KEY
from service.factory import Factory
from service.identity import authenticate

_OPEN: Final = frozenset({"/healthz"})


class BearerAuth:
    """Puts the caller of `Authorization: Bearer …` (RFC 6750) into the request's scope, or answers 401.

    Pure ASGI, because a middleware that buffers would break streaming.
    """

    def __init__(self, app: ASGIApp, factory: Factory) -> None:
        self._app = app
        self._factory = factory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate one request and pass it on."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        credential = _bearer(Headers(scope=scope).get("authorization"))
        try:
            caller = await authenticate(self._factory, credential)
        except Verdict as verdict:
            await _unauthorized(verdict.problems[0])(scope, receive, send)
            return
        except Fault as fault:
            await _answer(503, fault.problems[0], {"Retry-After": "2"})(scope, receive, send)
            return
        user = AuthenticatedUser(_token(caller))
        scope = {**scope, "user": user, SCOPE_KEY: caller}
        # The SDK ties sessions and sealed request states to this user.
        reset = auth_context_var.set(user)
        try:
            await self._app(scope, receive, send)
        finally:
            auth_context_var.reset(reset)


def _bearer(header: str | None) -> str | None:
    scheme, _, credential = (header or "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def _token(caller: Caller) -> AccessToken:
    """Describe the caller to the SDK. The credential itself is not kept anywhere."""
    scopes = sorted(permission.value for permission in caller.permissions)
    return AccessToken(token="", client_id=caller.org_id, subject=caller.subject, scopes=scopes)


def _unauthorized(problem: Problem) -> Response:
    error = "" if problem.code == "auth.required" else ', error="invalid_token"'
    return _answer(401, problem, {"WWW-Authenticate": f'Bearer realm="openfactory"{error}'})


def _answer(status: int, problem: Problem, headers: dict[str, str]) -> Response:
    body = {"error": problem.code, "error_description": problem.message} | problem.model_dump(exclude_none=True)
    return Response(json.dumps(body), status, {**headers, "Cache-Control": "no-store"}, "application/json")
