"""The front page: whether the factory works, and how to connect to it. It knows no organization."""

from aiohttp import web

from console.guard import content_policy
from console.guests import invitation
from console.html import Markup, Pages, joined
from console.keys import BOARD, FACTORY, PAGES
from domain.client_setup import PLACEHOLDER, ClientName, ClientSetup, client_setups
from domain.views import FactoryHealth, PartHealth

_OPEN = Markup(" open")
_STYLE_SECONDS = 365 * 24 * 3600


async def front_page(request: web.Request) -> web.Response:
    """Answer `/`."""
    health = await request.app[BOARD].look()
    pages = request.app[PAGES]
    factory = request.app[FACTORY]
    guests = Markup("") if factory.guests is None else invitation(pages)
    page = pages.page("OpenFactory", _front(pages, health, factory.public_url, guests))
    policy = content_policy(forms=factory.guests is not None, scripts=True)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
    return web.Response(text=page, content_type="text/html", headers=headers)


async def style_sheet(request: web.Request) -> web.Response:
    """Answer `/static/style.css`; its address changes with its content."""
    headers = {"Cache-Control": f"public, max-age={_STYLE_SECONDS}, immutable"}
    return web.Response(body=request.app[PAGES].style, content_type="text/css", headers=headers)


async def mark(request: web.Request) -> web.Response:
    """Answer `/static/mark.svg`."""
    headers = {"Cache-Control": "public, max-age=3600"}
    return web.Response(body=request.app[PAGES].mark, content_type="image/svg+xml", headers=headers)


def _front(pages: Pages, health: FactoryHealth, url: str, guests: Markup) -> Markup:
    down = sum(not part.ok for part in health.parts)
    verb = "does" if down == 1 else "do"
    words = "every part answers" if health.ok else f"{down} of {len(health.parts)} parts {verb} not answer"
    return pages.part(
        "front",
        state=words,
        state_class="good" if health.ok else "bad",
        parts=joined(_part(pages, part) for part in health.parts),
        mcp_url=f"{url}/mcp-stream/mcp",
        placeholder=PLACEHOLDER,
        guests=guests,
        clients=joined(
            pages.part("client", open=_OPEN if setup.client == ClientName.CLAUDE_CODE else "", **_texts(setup))
            for setup in client_setups(url)
        ),
    )


def _texts(setup: ClientSetup) -> dict[str, str]:
    return {"name": setup.title, "words": setup.words, "snippet": setup.snippet, "client": setup.client}


def _part(pages: Pages, part: PartHealth) -> Markup:
    note = part.note or ("answers" if part.ok else "down")
    return pages.part("part", state="good" if part.ok else "bad", name=part.name, note=note)
