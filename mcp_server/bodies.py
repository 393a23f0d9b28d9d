"""Reads a request's body whole and lets it through only if it is sound JSON of a bounded size and depth.

The SDK's own readers take bodies of any size, numbers that are none, and nesting up to the interpreter's own end.
"""

import json
from typing import Any, Final

import pydantic_core
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import RateLimited
from mcp_server.auth import OPEN, network_of_scope, refused
from mcp_server.callers import caller_of_scope
from service.door import sent
from service.factory import Factory

LONGEST_BODY: Final = 2 << 20
"""In bytes: a recipe has 256 KiB at most, and JSON within JSON may double it more than once."""
_MOST_READ: Final = 16 * LONGEST_BODY
_PARSE_ERROR: Final = -32700  # JSON-RPC 2.0, section 5.1
_INVALID_REQUEST: Final = -32600


class SoundBodies:
    """Answers what cannot be a call, or is too much for its caller, before anything looks at it.

    Pure ASGI: answers are streamed.
    """

    def __init__(self, app: ASGIApp, factory: Factory) -> None:
        self._app = app
        self._factory = factory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request with its body, which was read."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        fault = self._too_much(scope, body) or _fault_of(body)
        if fault is not None:
            await fault(scope, receive, send)
            return
        await self._app(scope, WholeBody(body or b"", receive), send)

    def _too_much(self, scope: Scope, body: bytes | None) -> Response | None:
        """Charge a body. One that is refused for its length is read and dropped, and costs nothing."""
        if body is None or scope["path"] in OPEN:
            return None
        network = network_of_scope(scope)
        try:
            sent(self._factory, caller_of_scope(scope), len(body), network=network, place=scope["path"])
        except RateLimited as limited:
            return refused(limited)
        return None


class WholeBody:
    """Gives the body once, and then whatever comes: that the client leaves, above all."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        """Receive the next message, as ASGI says it."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive) -> bytes | None:
    """Return the body, or nothing if there is too much of it.

    What is too much is read on for a while: who is still sending when the connection is closed never sees the answer.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= LONGEST_BODY:
            parts.append(part)
        if size > _MOST_READ:
            return None
        if not message.get("more_body"):
            return b"".join(parts) if size <= LONGEST_BODY else None


def _fault_of(body: bytes | None) -> Response | None:
    if body is None:
        message = f"The request has more than {LONGEST_BODY:,} bytes."
        return _answer(413, _INVALID_REQUEST, "request.too_large", message, "Send less; a recipe has 256 KiB at most.")
    try:
        # It stops at some 200 levels and at halves of surrogate pairs; Python's own reader does neither.
        decoded: Any = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        message = f"The request is not JSON: {str(error)[:200]}."
        advice = "Send one JSON-RPC message as UTF-8 JSON, with numbers as JSON has them."
        return _answer(400, _PARSE_ERROR, "request.not_json", message, advice)
    try:
        json.dumps(decoded, allow_nan=False)
    except ValueError:
        message = "The request holds a number that is too large for any meaning."
        return _answer(400, _PARSE_ERROR, "request.not_json", message, "Send numbers as JSON has them.")
    return None


def _answer(status: int, number: int, code: str, message: str, advice: str) -> Response:
    error = {"code": number, "message": message, "data": {"code": code, "message": message, "next": advice}}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status, {"Cache-Control": "no-store"})
