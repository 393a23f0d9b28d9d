"""JSON-RPC batches of clients of 2025-03-26, the only version in which a POST may hold an array of messages.

The SDK takes one message at a time, so each goes the SDK's way by itself, all side by side; the answers to requests
come back as one array of JSON. What a call tells on its way (progress) has no place there and is left out.
"""

import asyncio
import json
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any, Final, cast

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import RateLimited
from mcp_server.auth import network_of_scope
from mcp_server.bodies import WholeBody
from mcp_server.callers import caller_of_scope
from mcp_server.stream import STREAM_PATH
from service.door import entered
from service.factory import Factory

MOST_MESSAGES: Final = 32
_VERSION: Final = "2025-03-26"
_INVALID_REQUEST: Final = -32600  # JSON-RPC 2.0, 5.1
_INTERNAL_ERROR: Final = -32603
_LIMITED: Final = -32000  # the first of those that a server may choose
_KNOWN: Final = frozenset({"method", "result", "error"})
_WELL: Final = frozenset({200, 202})


class Batches:
    """Takes arrays apart. Pure ASGI, behind authentication, sessions and the look at the body."""

    def __init__(self, app: ASGIApp, factory: Factory) -> None:
        self._app = app
        self._factory = factory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an array; whatever else it is passes, arrays of other versions too, which the SDK refuses."""
        if not _may_be_batch(scope):
            await self._app(scope, receive, send)
            return
        first = await receive()  # it holds the whole body, which was read and is sound
        body: bytes = first.get("body", b"")
        if body.lstrip()[:1] != b"[":
            await self._app(scope, WholeBody(body, receive), send)
            return
        answer = await self._answered(scope, json.loads(body), receive)
        await answer(scope, receive, send)

    async def _answered(self, scope: Scope, messages: list[Any], receive: Receive) -> Response:
        fault = _fault_of(messages)
        if fault is not None:
            return JSONResponse(_error(None, _INVALID_REQUEST, fault), 400)
        left = asyncio.Event()
        watching = asyncio.create_task(_watch(receive, left))
        try:
            async with asyncio.TaskGroup() as group:
                work = [
                    group.create_task(self._one(scope, message, left, paid=number == 0))
                    for number, message in enumerate(messages)
                ]
            answers = [task.result() for task in work]
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        first = answers[0]
        if all(answer.status not in _WELL for answer in answers) and first.status:
            return Response(bytes(first.body), first.status, media_type="application/json")  # no message got through
        found = [answer.told() for answer in answers if answer.wanted]
        return JSONResponse(found) if found else Response(status_code=202)

    async def _one(self, scope: Scope, message: object, left: asyncio.Event, *, paid: bool) -> "_Answer":
        """Have one message answered. Each counts as a request of its own; the first was counted at the door."""
        if not isinstance(message, dict):
            return _Answer(None, wanted=True, refusal=(_INVALID_REQUEST, "A message is an object (JSON-RPC 2.0)."))
        fields = cast("dict[str, Any]", message)
        request = "method" in fields and "id" in fields
        answer = _Answer(fields.get("id"), wanted=request or not _KNOWN & fields.keys())
        with ExitStack() as stack:
            if not paid:
                try:
                    stack.enter_context(self._entered(scope))
                except RateLimited as limited:
                    answer.refusal = (_LIMITED, limited.problems[0].message)
                    return answer
            await self._app(*_request(scope, fields, left), answer.hear)
        return answer

    def _entered(self, scope: Scope) -> AbstractContextManager[None]:
        network = network_of_scope(scope)
        return entered(self._factory, caller_of_scope(scope), network=network, place=scope["path"])


class _Answer:
    """What the SDK answers to one message: JSON, or a stream of events with the answer among them."""

    def __init__(self, number: object, *, wanted: bool, refusal: tuple[int, str] | None = None) -> None:
        self.number = number
        self.wanted = wanted
        self.refusal = refusal
        self.status = 0
        self.body = bytearray()

    async def hear(self, message: Message) -> None:
        """Take a part of it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body.extend(message.get("body", b""))

    def told(self) -> dict[str, Any]:
        """Return the answer as one message of JSON-RPC."""
        if self.refusal is not None:
            return _error(self.number, *self.refusal)
        lines = bytes(self.body).splitlines()
        for text in (*(line[6:] for line in lines if line.startswith(b"data: ")), bytes(self.body)):
            with suppress(ValueError):
                found: Any = json.loads(text)
                if isinstance(found, dict) and ("result" in found or "error" in found):
                    return {**cast("dict[str, Any]", found), "id": self.number}
        return _error(self.number, _INTERNAL_ERROR, "The request was not answered.")


def _may_be_batch(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != STREAM_PATH:
        return False
    # Who does not say its version and has no session, which would, is one of that time (2025-06-18, transports).
    return Headers(scope=scope).get(MCP_PROTOCOL_VERSION_HEADER, _VERSION) == _VERSION


def _fault_of(messages: list[Any]) -> str | None:
    if not messages:
        return "The batch is empty."
    if len(messages) > MOST_MESSAGES:
        return f"The batch has {len(messages)} messages; {MOST_MESSAGES} are allowed."
    objects = [cast("dict[str, Any]", message) for message in messages if isinstance(message, dict)]
    if any(message.get("method") == "initialize" for message in objects):
        return "initialize cannot be part of a batch (2025-03-26, lifecycle)."
    return None


def _request(scope: Scope, message: dict[str, Any], left: asyncio.Event) -> tuple[Scope, Receive]:
    body = json.dumps(message).encode()
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]

    async def leaving() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    sized = [*headers, (b"content-length", str(len(body)).encode())]
    return {**scope, "headers": sized, "state": dict(scope.get("state", {}))}, WholeBody(body, leaving)


async def _watch(receive: Receive, left: asyncio.Event) -> None:
    """Tell all when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    left.set()


def _error(number: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
