"""Passes MCP requests through to the MCP server: nothing is buffered, nothing is retried."""

import logging
from collections.abc import Mapping

from aiohttp import ClientError, ClientResponse, ClientSession, web
from multidict import CIMultiDict

from console.clients import address_of
from console.keys import UPSTREAM
from console.problems import problem_response
from domain.errors import Problem

_log = logging.getLogger(__name__)

# RFC 9110, 7.6.1, and the fields by which forwarders speak to each other.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "forwarded",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)
_NEVER_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class McpProxy:
    """Handles the addresses of both transports: `/mcp-stream/…`, `/mcp/sse` and `/mcp/messages`."""

    def __init__(self, mcp_url: str) -> None:
        self._mcp_url = mcp_url

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward one request and stream its answer. A client that leaves cancels the call upstream."""
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return _encoded(request)
        session = request.app[UPSTREAM]
        try:
            answer = await self._ask(session, request)
        except (ClientError, OSError):
            return _starting(request)
        try:
            return await _relay(request, answer)
        finally:
            answer.close()

    async def _ask(self, session: ClientSession, request: web.Request) -> ClientResponse:
        headers = _forwarded(request.headers)
        if address := address_of(request):
            headers["X-Forwarded-For"] = address
        return await session.request(
            request.method,
            f"{self._mcp_url}{_target(request)}",
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
            skip_auto_headers=_NEVER_ADDED,
        )


def _target(request: web.Request) -> str:
    """Name what is asked for, without the host that a client may write before it (RFC 9112, 3.2.2).

    A last slash goes too: the server would answer it with a redirect to what it takes for its own address.
    """
    url = request.rel_url
    path = url.raw_path.rstrip("/")
    return f"{path}?{url.raw_query_string}" if url.raw_query_string else path


async def _relay(request: web.Request, answer: ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_forwarded(answer.headers))
    response.headers["X-Accel-Buffering"] = "no"  # for a forwarder in front of us
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except ClientError:
        # The server went away in the middle: cut the connection, so that half an answer is not taken for one.
        _log.warning("the MCP server ended in the middle of an answer")
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _forwarded(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    dropped = _HOP_BY_HOP | named
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


def _encoded(request: web.Request) -> web.Response:
    """Refuse a compressed body: nobody sends one, and what it unfolds to has no bound."""
    problem = Problem(
        code="request.encoded",
        message="The body of this request is compressed or encoded.",
        path="Content-Encoding",
        next="Send the JSON as it is, without Content-Encoding.",
    )
    return problem_response(request, 415, problem)


def _starting(request: web.Request) -> web.Response:
    """Answer for a server that is down or restarting: never a 404, which strands some clients for good."""
    problem = Problem(
        code="mcp.unavailable",
        message="The MCP server is starting or down.",
        retryable=True,
        next="Try again in a second.",
    )
    return problem_response(request, 503, problem, {"Retry-After": "1"})
