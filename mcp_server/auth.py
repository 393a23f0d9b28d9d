"""Lets only authenticated requests through to the MCP transports."""

import json
import math
from contextlib import ExitStack
from typing import Final

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.caller import Caller
from domain.errors import Fault, Problem, RateLimited, Verdict
from mcp_server.callers import SCOPE_KEY
from service.admission.networks import network_of
from service.door import bearer, challenge, entered, known
from service.factory import Factory

OPEN: Final = frozenset({"/healthz"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


class BearerAuth:
    """Puts the caller of `Authorization: Bearer …` (RFC 6750) or `X-Guest-Id: …` into the request's scope.

    Whoever is nobody gets 401, whoever asks too much 429, and both are counted. Pure ASGI, because a middleware
    that buffers would break streaming.
    """

    def __init__(self, app: ASGIApp, factory: Factory) -> None:
        self._app = app
        self._factory = factory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate one request and pass it on."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        network, place = network_of_scope(scope), scope["path"]
        with ExitStack() as stack:
            try:
                credential, guest = bearer(headers.get("authorization")), headers.get("x-guest-id")
                caller = await known(self._factory, credential, guest, network=network, place=place)
                stack.enter_context(entered(self._factory, caller, network=network, place=place))
            except Fault as fault:
                await _answer(503, fault.problems[0], {"Retry-After": "2"})(scope, receive, send)
                return
            except Verdict as verdict:
                await refused(verdict)(scope, receive, send)
                return
            await self._pass_on(caller, scope, receive, send)

    async def _pass_on(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        user = AuthenticatedUser(_token(caller))
        scope = {**scope, "user": user, SCOPE_KEY: caller}
        # The SDK ties sessions and sealed request states to this user.
        reset = auth_context_var.set(user)
        try:
            await self._app(scope, receive, send)
        finally:
            auth_context_var.reset(reset)


def network_of_scope(scope: Scope) -> str:
    """Tell from which network a request comes."""
    return network_of(_address(scope, Headers(scope=scope)))


def refused(verdict: Verdict) -> Response:
    """Make the answer to who may not come in: 429 with the time to wait to who sends too much, else 401."""
    problem = verdict.problems[0]
    if not isinstance(verdict, RateLimited):
        return _unauthorized(problem)
    seconds = math.ceil(verdict.retry_after)
    return _answer(429, problem, {"Retry-After": str(seconds)}, retry_after=seconds)


def _address(scope: Scope, headers: Headers) -> str | None:
    """Return the client's address: the gateway on this machine tells it, and lets no client say it."""
    told = headers.get("x-forwarded-for")
    near = scope["client"][0] if scope.get("client") else None
    return told if told and near in _LOOPBACK else near


def _token(caller: Caller) -> AccessToken:
    """Describe the caller to the SDK. The credential itself is not kept anywhere."""
    scopes = sorted(permission.value for permission in caller.permissions)
    return AccessToken(token="", client_id=caller.org_id, subject=caller.subject, scopes=scopes)


def _unauthorized(problem: Problem) -> Response:
    return _answer(401, problem, challenge(problem.code))


def _answer(status: int, problem: Problem, headers: dict[str, str], **more: object) -> Response:
    body = {"error": problem.code, "error_description": problem.message} | problem.model_dump(exclude_none=True) | more
    return Response(json.dumps(body), status, {**headers, "Cache-Control": "no-store"}, "application/json")
