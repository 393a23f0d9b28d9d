"""Downloads by signed link, in parts if the client likes, in bounded memory."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast
from urllib.parse import quote

from aiohttp import web

from console.keys import FACTORY
from console.problems import problem_response
from console.ranges import ByteRange, range_still_valid, requested_range, tag_matches
from domain.errors import Verdict
from service.downloads import Download, open_download, read_download
from service.factory import Factory

_STATUS = {"link.invalid": 403, "link.expired": 410, "object.not_found": 410}


async def download(request: web.Request) -> web.StreamResponse:
    """Answer `/download/<token>/<name>`, GET and HEAD."""
    factory = request.app[FACTORY]
    try:
        found = await open_download(factory, request.match_info["token"], request.match_info["name"])
    except Verdict as verdict:
        return problem_response(request, _STATUS.get(verdict.code, 403), verdict.problems[0])
    tag = f'"{found.tag}"'
    headers = _headers(found, tag)
    if tag_matches(request.headers.get("If-None-Match"), tag):
        return web.Response(status=304, headers=headers)
    part = None
    if range_still_valid(request.headers.get("If-Range"), tag):
        part = requested_range(request.headers.get("Range"), found.bytes)
    if part == "unsatisfiable":
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{found.bytes}"})
    return await _send(request, factory, found, headers, part)


async def _send(
    request: web.Request, factory: Factory, found: Download, headers: dict[str, str], part: ByteRange | None
) -> web.StreamResponse:
    whole = ByteRange(0, found.bytes)
    offset, length = part or whole
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{found.bytes}"
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    response.content_length = length
    if request.method == "HEAD" or length == 0:
        await response.prepare(request)
        return response
    chunks = read_download(factory, found, offset=offset, length=length)
    async with aclosing(cast("AsyncGenerator[bytes]", chunks)):
        # The first chunk comes before the headers: a store that is away is a 503, not a broken body.
        first = await anext(chunks, b"")
        await response.prepare(request)
        await _write(response, first, chunks)
    return response


async def _write(response: web.StreamResponse, first: bytes, rest: AsyncIterator[bytes]) -> None:
    """Write at the client's pace: each write waits until the socket takes it."""
    await response.write(first)
    async for chunk in rest:
        await response.write(chunk)
    await response.write_eof()


def _headers(found: Download, tag: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(found.sha256 or "")).decode()
    known = {"Repr-Digest": f"sha-256=:{digest}:"} if digest else {}  # RFC 9530
    return {
        **known,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "Content-Type": "application/octet-stream",
        "ETag": tag,
    }
