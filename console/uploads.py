"""Uploads by signed link, resumable: the core of tus 1.0.0 (https://tus.io/protocols/resumable-upload)."""

import re

from aiohttp import web

from console.keys import FACTORY
from console.problems import problem_response
from domain.errors import Verdict
from service.image_uploads import take_bytes, upload_state

_VERSION = "1.0.0"
_STATUS = {"link.invalid": 403, "link.expired": 410, "upload.wrong_offset": 409, "upload.too_long": 413}
_CONTENT_TYPE = "application/offset+octet-stream"
_CHUNK = 1 << 20
_OFFSET = re.compile(r"[0-9]{1,18}")
_HEADERS = {"Tus-Resumable": _VERSION, "Cache-Control": "no-store"}


async def upload(request: web.Request) -> web.StreamResponse:
    """Answer `/upload/<token>`: OPTIONS, HEAD (where to go on) and PATCH (the bytes from there on)."""
    if request.method == "OPTIONS":
        return web.Response(status=204, headers={**_HEADERS, "Tus-Version": _VERSION})
    if request.headers.get("Tus-Resumable", _VERSION) != _VERSION:
        return web.Response(status=412, headers={**_HEADERS, "Tus-Version": _VERSION})
    try:
        return await (_offset(request) if request.method == "HEAD" else _take(request))
    except Verdict as verdict:
        return problem_response(request, _STATUS.get(verdict.code, 400), verdict.problems[0], _HEADERS)


async def _offset(request: web.Request) -> web.Response:
    state = await upload_state(request.app[FACTORY], request.match_info["token"])
    headers = {**_HEADERS, "Upload-Offset": str(state.offset), "Upload-Length": str(state.length)}
    return web.Response(status=200, headers=headers)


async def _take(request: web.Request) -> web.Response:
    if request.content_type != _CONTENT_TYPE:
        raise web.HTTPUnsupportedMediaType(text=f"Content-Type must be {_CONTENT_TYPE}")
    offset = request.headers.get("Upload-Offset", "")
    if not _OFFSET.fullmatch(offset):
        raise Verdict.because(
            "upload.no_offset",
            "The header Upload-Offset must say at which byte this part begins.",
            path="Upload-Offset",
            next="Ask with HEAD where to go on.",
        )
    chunks = request.content.iter_chunked(_CHUNK)
    state = await take_bytes(request.app[FACTORY], request.match_info["token"], int(offset), chunks)
    return web.Response(status=204, headers={**_HEADERS, "Upload-Offset": str(state.offset)})
