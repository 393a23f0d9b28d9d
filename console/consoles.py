"""The consoles' pages and their WebSockets.

`/console/<token>` is opened once by whoever comes first, who gets a secret in a cookie that is sent to this
very address alone. `/console/<token>/ws` takes that cookie from that page alone.
"""

import secrets
from urllib.parse import urlsplit

from aiohttp import web

from console.console_board import HEARTBEAT_SECONDS, close
from console.html import Markup
from console.keys import ASSETS, CONSOLES, FACTORY, PAGES
from console.problems import problem_response
from console.ranges import tag_matches
from domain.console import ConsoleEnd
from domain.errors import FactoryError, Problem, Verdict
from service.consoles import ConsolePage, ConsoleRoute, open_console, route_console

COOKIE = "of_console"
_LONGEST_MESSAGE = 2 << 20  # a clipboard of 1 MiB and what comes with it
_CLOSE_SECONDS = 2.0


async def asset(request: web.Request) -> web.Response:
    """Answer `/static/console/…` and `/static/vendor/…`."""
    found = request.app[ASSETS].find(request.path.removeprefix("/static/"))
    if found is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": found.caching, "ETag": found.tag}
    if tag_matches(request.headers.get("If-None-Match"), found.tag):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=found.body, content_type=found.kind, charset="utf-8", headers=headers)
    response.enable_compression()
    return response


async def console_page(request: web.Request) -> web.Response:
    """Answer `/console/<token>`."""
    if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
        # A link that works once is not used up by a browser that only guesses.
        return web.Response(status=503, headers={"Cache-Control": "no-store"})
    token = request.match_info["token"]
    factory = request.app[FACTORY]
    try:
        page = await open_console(factory, token, request.cookies.get(COOKIE))
    except Verdict as refused:
        return problem_response(request, 410, refused.problems[0])
    nonce = secrets.token_urlsafe(16)
    response = web.Response(
        text=_html(request, page, nonce),
        content_type="text/html",
        headers={"Cache-Control": "no-store", "Content-Security-Policy": _policy(page, nonce)},
    )
    if page.secret is not None:
        response.set_cookie(
            COOKIE,
            page.secret,
            path=f"/console/{token}",
            httponly=True,
            samesite="Strict",
            secure=factory.public_url.startswith("https:"),
        )
    return response


async def console_socket(request: web.Request) -> web.StreamResponse:
    """Answer `/console/<token>/ws`. What keeps a page from its machine is told by the close code."""
    if not _from_own_page(request):
        problem = Problem(
            code="origin.not_allowed",
            message="Only the console's own page may connect here.",
            next="Open the link of get_console_link in a browser.",
        )
        return problem_response(request, 403, problem)
    browser = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS, max_msg_size=_LONGEST_MESSAGE, compress=False, timeout=_CLOSE_SECONDS
    )
    if not browser.can_prepare(request).ok:
        problem = Problem(code="websocket.required", message="This address is for WebSockets.")
        return problem_response(request, 426, problem, {"Upgrade": "websocket"})
    found = await _route(request)
    await browser.prepare(request)
    if isinstance(found, ConsoleEnd):
        await close(browser, found)
    else:
        await request.app[CONSOLES].bridge(browser, found)
    return browser


async def _route(request: web.Request) -> ConsoleRoute | ConsoleEnd:
    try:
        return await route_console(request.app[FACTORY], request.match_info["token"], request.cookies.get(COOKIE, ""))
    except FactoryError as refused:
        if refused.retryable:
            return ConsoleEnd.UNREACHABLE
        over = refused.code in {"console.session_over", "vm.not_found"}
        return ConsoleEnd.REVOKED if over else ConsoleEnd.GONE


def _from_own_page(request: web.Request) -> bool:
    """Tell whether the request comes from a page of this very server: browsers always say so (RFC 6455, 4.1)."""
    origin = request.headers.get("Origin", "")
    public = urlsplit(request.app[FACTORY].public_url)
    if origin == f"{public.scheme}://{public.netloc}":
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc == request.headers.get("Host")


def _policy(page: ConsolePage, nonce: str) -> str:
    # The terminal makes style sheets of its own, which it marks with the nonce, and colours single characters.
    serial = page.session.grant.channel == "serial"
    styles = f"'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'" if serial else "'self'"
    return (
        f"default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _html(request: web.Request, page: ConsolePage, nonce: str) -> str:
    grant = page.session.grant
    pages = request.app[PAGES]
    controls = grant.mode == "control"
    nothing = Markup("")
    return pages.part(
        "console",
        name=page.vm_name,
        channel=grant.channel,
        kind="Screen" if grant.channel == "vnc" else "Serial console",
        mode=grant.mode,
        nonce=nonce,
        style=pages.style_version,
        sheets=pages.part("console_serial_sheet") if grant.channel == "serial" else nothing,
        badge=nothing if controls else pages.part("console_badge"),
        keys=pages.part("console_keys") if controls and grant.channel == "vnc" else nothing,
        paste=pages.part(f"console_{grant.channel}_paste") if controls else nothing,
        copy=pages.part("console_serial_copy") if grant.channel == "serial" else nothing,
    )
