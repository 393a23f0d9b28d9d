"""Sessions of clients that speak Streamable HTTP as it was before 2026-07-28, kept by nobody.

The server behind is stateless: each request stands alone. A client that asks for a session (`initialize`) gets an id
that tells by itself whose it is and which protocol version was agreed on. It holds through restarts and in every
process, so nobody is stranded by a 404; another caller's id is answered as one that never was.
"""

import json
from typing import Any, Final, cast

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.callers import caller_of_scope
from service.client_sessions import seal_session, session_fact
from service.factory import Factory

STREAM_PATH: Final = "/mcp-stream/mcp"
_SESSION: Final = "mcp-session-id"
_DATA: Final = b"data: "
_MOST_BYTES: Final = 64 << 10  # an `initialize` is much shorter
_INVALID_REQUEST: Final = -32600  # JSON-RPC 2.0, 5.1


class SealedSessions:
    """Pure ASGI in front of the SDK's transport, behind authentication."""

    def __init__(self, app: ASGIApp, factory: Factory) -> None:
        self._app = app
        self._factory = factory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a session id, or give one; requests of 2026-07-28 know none and pass."""
        if scope["type"] != "http" or scope["path"] != STREAM_PATH or not _handshakes(headers := Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["method"] in {"GET", "DELETE"}:
            # Nothing is ever sent unasked, and there is nothing to end: clients know both answers (2025-03-26).
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
        elif (given := headers.get(_SESSION)) is None:
            await self._open(scope, receive, send)
        elif (fact := session_fact(self._factory, caller_of_scope(scope), "stream", given)) is None:
            await _not_found()(scope, receive, send)
        else:
            await self._app(_agreed(scope, headers, fact.split("/")[0]), receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; if it was an `initialize` that went well, give its answer a session id."""
        body = bytearray()

        async def listening() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(body) <= _MOST_BYTES:
                body.extend(message.get("body", b""))
            return message

        start: Message | None = None

        async def giving(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:  # noqa: PLR2004 - RFC 9110
                start = message  # kept until the answer is seen: an error has the same status
                return
            if start is not None:
                version = _asked_version(bytes(body))
                if version is not None and not _is_error(message.get("body", b"")):
                    fact = f"{version}/{self._factory.new_id()}"
                    sealed = seal_session(self._factory, caller_of_scope(scope), "stream", fact)
                    MutableHeaders(scope=start)[_SESSION] = sealed
                await send(start)
                start = None
            await send(message)

        await self._app(scope, listening, giving)


def _handshakes(headers: Headers) -> bool:
    version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _agreed(scope: Scope, headers: Headers, version: str) -> Scope:
    """Name the agreed version for clients of versions that did not send it with each request."""
    if MCP_PROTOCOL_VERSION_HEADER in headers:
        return scope
    named = (MCP_PROTOCOL_VERSION_HEADER.encode(), version.encode())
    return {**scope, "headers": [*scope["headers"], named]}


def _asked_version(body: bytes) -> str | None:
    """Return the version that an `initialize` ends up with, or nothing for any other message."""
    if len(body) > _MOST_BYTES:
        return None
    try:
        message = json.loads(body)
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    fields = cast("dict[str, Any]", message)
    if fields.get("method") != "initialize":
        return None
    params = fields.get("params")
    asked = cast("dict[str, Any]", params).get("protocolVersion") if isinstance(params, dict) else None
    return asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION


def _is_error(answer: bytes) -> bool:
    """Tell whether the first part of an answer, which is an event or JSON, is an error of the protocol."""
    told = next((line[len(_DATA) :] for line in answer.splitlines() if line.startswith(_DATA)), answer)
    try:
        message = json.loads(told)
    except ValueError:
        return False
    return isinstance(message, dict) and "error" in message


def _not_found() -> Response:
    error = {"code": _INVALID_REQUEST, "message": "There is no such session: call initialize again."}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 404)
