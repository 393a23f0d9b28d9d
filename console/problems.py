"""Refusals and faults as pages for people and as JSON for programs."""

import json
from collections.abc import Mapping

from aiohttp import web

from console.keys import PAGES
from domain.errors import Problem


def problem_response(
    request: web.Request, status: int, problem: Problem, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with a problem, as HTML if the client asks for it and as JSON otherwise."""
    kept = {"Cache-Control": "no-store", **(headers or {})}
    if "text/html" in request.headers.get("Accept", ""):
        pages = request.app[PAGES]
        body = pages.part("problem", status=status, message=problem.message, next=problem.next or "")
        text, kind = pages.page(problem.message, body), "text/html"
    else:
        text, kind = json.dumps(problem.model_dump(exclude_none=True)), "application/json"
    return web.Response(status=status, text=text, content_type=kind, headers=kept)
