"""HTTP+SSE, the transport of 2024-11-05: a GET that stays open brings the answers, POSTs bring the requests.

A stream lives in one process. When that ends, clients open another stream, and until they have, their POSTs find an
address that is theirs but that nobody listens to: that is answered 503, for it passes. An address of another caller,
or of nobody, is answered 404.
"""

from http import HTTPStatus
from typing import Any, Final

from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_connection
from mcp.server.sse import SseServerTransport
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import jsonrpc_message_adapter
from mcp_types.version import OLDEST_SUPPORTED_VERSION
from pydantic import ValidationError
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from mcp_server.bodies import WholeBody
from mcp_server.callers import caller_of_scope
from service.client_sessions import seal_session, session_fact
from service.factory import Factory

SSE_PATH: Final = "/mcp/sse"
MESSAGES_PATH: Final = "/mcp/messages"
_ID: Final = b"session_id="
_ID_CHARACTERS: Final = 32
_MOST_STREAMS: Final = 1_000
_INVALID_REQUEST: Final = -32600  # JSON-RPC 2.0, 5.1


def sse_routes(server: Server[Any], factory: Factory) -> list[Route]:
    """Make both addresses. Routes, not mounts: a mount answers `/mcp/messages` with a redirect."""
    transport = SseServerTransport(MESSAGES_PATH)
    return [
        Route(SSE_PATH, _Stream(server, factory, transport), methods=["GET"]),
        Route(MESSAGES_PATH, _Messages(factory, transport), methods=["POST"]),
    ]


class _Stream:
    """Opens a stream and serves what is posted for it until the client leaves."""

    def __init__(self, server: Server[Any], factory: Factory, transport: SseServerTransport) -> None:
        self._server = server
        self._factory = factory
        self._transport = transport
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open >= _MOST_STREAMS:
            await _away("Too many streams are open.")(scope, receive, send)
            return
        self._open += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._open -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._transport.connect_sse(scope, receive, self._sealing(scope, send)) as (read, write):
            dispatcher = JSONRPCDispatcher[TransportContext](read, write, inline_methods=frozenset({"initialize"}))
            # Some clients open a cut stream again and go on without a new handshake: a restart loses them nothing.
            # Nobody knows which version they had agreed on, so they are told what every version knows.
            connection = Connection.for_loop(dispatcher, protocol_version_hint=OLDEST_SUPPORTED_VERSION)
            connection.initialized.set()
            await serve_connection(self._server, dispatcher, connection=connection, lifespan_state={})

    def _sealing(self, scope: Scope, send: Send) -> Send:
        """Add to the address that the first event tells a proof that it was told to this caller."""
        told = False

        async def sealed(message: Message) -> None:
            nonlocal told
            if not told and message["type"] == "http.response.body" and _ID in (body := message["body"]):
                told = True
                begin = body.index(_ID) + len(_ID)
                end = begin + _ID_CHARACTERS
                seal = seal_session(self._factory, caller_of_scope(scope), "sse", body[begin:end].decode())
                message = {**message, "body": body[:end] + f"&seal={seal}".encode() + body[end:]}
            await send(message)

        return sealed


class _Messages:
    """Takes what a client posts to the address of its stream."""

    def __init__(self, factory: Factory, transport: SseServerTransport) -> None:
        self._factory = factory
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = QueryParams(scope["query_string"])
        fact = session_fact(self._factory, caller_of_scope(scope), "sse", query.get("seal", ""))
        if fact is None or fact != query.get("session_id"):
            await PlainTextResponse("There is no such session: open the stream again.", 404)(scope, receive, send)
            return
        first = await receive()  # it holds the whole body, which was read and is sound JSON
        body: bytes = first.get("body", b"")
        if not _is_message(body):
            await _no_message()(scope, receive, send)
            return
        gone = False

        async def checking(message: Message) -> None:
            nonlocal gone
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.NOT_FOUND:
                gone = True
                await _away("The stream of this session is closed: open it again.")(scope, receive, send)
            elif not gone:
                await send(message)

        await self._transport.handle_post_message(scope, WholeBody(body, receive), checking)


def _is_message(body: bytes) -> bool:
    """Judge as the SDK does, which logs a trace of all that it cannot take and passes it on to the stream."""
    try:
        jsonrpc_message_adapter.validate_json(body, by_name=False)
    except ValidationError:
        return False
    return True


def _no_message() -> JSONResponse:
    words = "This is no message of JSON-RPC 2.0: an object with jsonrpc, method and params, and an id to be answered."
    error = {"code": _INVALID_REQUEST, "message": words}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)


def _away(words: str) -> PlainTextResponse:
    return PlainTextResponse(words, 503, headers={"Retry-After": "1"})
