"""The button that lets a guest in: a page that shows the browser its token, the same one as long as that holds."""

import math

from aiohttp import web

from console.clients import address_of
from console.html import Markup, Pages
from console.keys import FACTORY, PAGES
from console.problems import problem_response
from domain.errors import RateLimited, Verdict
from domain.guest import PLAN, GuestPass
from domain.plan import plan_of
from service.admission.networks import network_of
from service.guests import mint_guest

COOKIE = "openfactory_guest"


async def make_guest(request: web.Request) -> web.Response:
    """Answer `POST /guest`, to people with a page and to programs with JSON."""
    factory = request.app[FACTORY]
    try:
        made = await mint_guest(factory, network_of(address_of(request)), token=request.cookies.get(COOKIE))
    except RateLimited as limited:
        wait = {"Retry-After": str(math.ceil(limited.retry_after))}
        return problem_response(request, 429, limited.problems[0], wait)
    except Verdict as verdict:
        return problem_response(request, 404, verdict.problems[0])
    mcp_url = f"{factory.public_url}/mcp-stream/mcp"
    response = _shown(request, made, mcp_url)
    response.set_cookie(
        COOKIE,
        made.token,
        path="/guest",
        httponly=True,
        samesite="Strict",
        secure=factory.public_url.startswith("https:"),
        max_age=max(0, int((made.guest.expires_at - factory.now()).total_seconds())),
    )
    return response


def invitation(pages: Pages) -> Markup:
    """Make the front page's part for guests."""
    return pages.part("invitation", limits=_limits())


def _shown(request: web.Request, made: GuestPass, mcp_url: str) -> web.Response:
    kept = {"Cache-Control": "no-store"}
    expires_at = made.guest.expires_at
    if "text/html" not in request.headers.get("Accept", ""):
        body = {"guest_id": made.guest.guest_id, "token": made.token, "header": "X-Guest-Id", "mcp_url": mcp_url}
        return web.json_response({**body, "expires_at": expires_at.isoformat()}, headers=kept)
    pages = request.app[PAGES]
    snippet = f'claude mcp add --transport http \\\n  openfactory {mcp_url} \\\n  --header "X-Guest-Id: {made.token}"'
    body = pages.part(
        "guest", token=made.token, mcp_url=mcp_url, snippet=snippet, until=f"{expires_at:%Y-%m-%d}", limits=_limits()
    )
    return web.Response(text=pages.page("Your guest token", body), content_type="text/html", headers=kept)


def _limits() -> str:
    plan = plan_of(PLAN)
    if plan.allowance is None:
        raise AssertionError("guests are metered")
    return (
        f"{plan.allowance.builds_per_day} builds and {plan.allowance.vm_minutes_per_day} minutes of a virtual machine "
        f"({plan.memory} MiB, {plan.cpus} processor) in 24 hours"
    )
