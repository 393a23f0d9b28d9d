"""What holds for every request: known host, known origin, safe headers, and words for every error."""

import logging
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler

from console.keys import FACTORY
from console.problems import problem_response
from domain.errors import FactoryError, Problem
from service.hosts import names_problem

_log = logging.getLogger(__name__)


def content_policy(*, forms: bool = False, scripts: bool = False) -> str:
    """Tell browsers what a page has: one style sheet, one picture, and forms and our scripts only if it says so.

    Scripts may ask the factory itself, and nobody else.
    """
    action = "'self'" if forms else "'none'"
    script = "script-src 'self'; connect-src 'self'; " if scripts else ""
    return (
        f"default-src 'none'; style-src 'self'; {script}img-src 'self'; base-uri 'none'; form-action {action}; "
        "frame-ancestors 'none'"
    )


_HEADERS = {
    "Content-Security-Policy": content_policy(),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_WORDS = {
    404: ("page.not_found", "There is no such page.", "Check the address, or begin at the front page."),
    405: ("method.not_allowed", "This page cannot be used that way.", "Open it with a plain GET request."),
}


async def safe_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every answer of the edge has; what a handler set stays."""
    response.headers["Server"] = "OpenFactory"
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def known_names_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that call the factory by a name it does not have, or that come from a foreign page."""
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    refused = names_problem(host, origin, request.app[FACTORY].allowed_hosts)
    return await handler(request) if refused is None else problem_response(request, *refused)


@web.middleware
async def errors_in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what was raised into an answer; a bug gets an incident number and its trace goes to the log."""
    try:
        return await handler(request)
    except web.HTTPException as raised:
        if raised.status not in _WORDS:
            raise
        code, message, advice = _WORDS[raised.status]
        return problem_response(request, raised.status, Problem(code=code, message=message, next=advice))
    except FactoryError as error:
        if error.retryable:
            return problem_response(request, 503, _public(error.problems[0]), {"Retry-After": "2"})
        return problem_response(request, 400, error.problems[0])
    except (ConnectionError, TimeoutError):
        raise  # the client went away; there is nobody to answer
    except Exception:  # noqa: BLE001 - the last frame that can answer; it is logged whole
        incident = uuid.uuid4().hex[:12]
        # The path may hold a download's token, so it is not written.
        _log.exception("a request failed, incident %s", incident)
        message = f"The factory failed here (incident {incident})."
        advice = "Try again once; if it stays, give the number to whoever runs this factory."
        return problem_response(request, 500, Problem(code="factory.internal", message=message, next=advice))


def _public(problem: Problem) -> Problem:
    """Leave out what a fault's own words may tell about the inside."""
    return Problem(
        code=problem.code,
        message="A part of the factory does not answer just now.",
        retryable=True,
        next="Try again in a moment.",
    )
