"""The consoles that are open here: each a bridge between a page's WebSocket and the relay of its machine's host."""

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType, web
from aiohttp.client_exceptions import WSServerHandshakeError

from domain.console import ConsoleEnd
from domain.errors import FactoryError
from service.consoles import ConsoleRoute, living_consoles, note_use
from service.factory import Factory

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.5
_BLIND_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 2.0
_OURS: Final = range(4000, 5000)
_REFUSALS: Final = {
    HTTPStatus.NOT_FOUND: ConsoleEnd.GONE,
    HTTPStatus.TOO_MANY_REQUESTS: ConsoleEnd.CROWDED,
}


class ConsoleBoard:
    """Opens bridges and ends those whose session was ended: seen within half a second, while any is open."""

    def __init__(self, factory: Factory, upstream: ClientSession) -> None:
        self._factory = factory
        self._upstream = upstream
        self._cuts: dict[str, asyncio.Future[int]] = {}
        self._some = asyncio.Event()

    async def bridge(self, browser: web.WebSocketResponse, route: ConsoleRoute) -> None:
        """Connect a page until one side ends; the same page's earlier connection is ended first."""
        cut = self._register(route.session.id)
        try:
            try:
                relay = await self._upstream.ws_connect(
                    route.url,
                    headers={"Authorization": f"Bearer {route.ticket}"},
                    heartbeat=HEARTBEAT_SECONDS,
                    compress=0,
                )
            except WSServerHandshakeError as refused:
                return await close(browser, _REFUSALS.get(HTTPStatus(refused.status), ConsoleEnd.UNREACHABLE))
            except (ClientError, OSError) as error:
                _log.warning("the relay of a host does not answer: %s", error)
                return await close(browser, ConsoleEnd.UNREACHABLE)
            use = asyncio.create_task(self._keep_in_use(route))
            try:
                async with relay:
                    code = await _first_end(browser, relay, cut)
            finally:
                use.cancel()
            return await close(browser, code)
        finally:
            if self._cuts.get(route.session.id) is cut:
                del self._cuts[route.session.id]

    async def _keep_in_use(self, route: ConsoleRoute) -> None:
        """Keep a machine that stops when idle from stopping under the eyes of somebody."""
        while route.idle_stop is not None:
            await note_use(self._factory, route.session.grant.vm_id)
            await asyncio.sleep(route.idle_stop / 3)

    async def watch(self) -> None:
        """Cut what is no session any more. While nobody can tell, sessions last another minute."""
        blind_since: float | None = None
        now = asyncio.get_running_loop().time
        while True:
            if not self._cuts:
                self._some.clear()
                await self._some.wait()
            asked = tuple(self._cuts)
            try:
                living = await living_consoles(self._factory, asked)
                blind_since = None
            except FactoryError as error:
                blind_since = now() if blind_since is None else blind_since
                living = frozenset(asked) if now() - blind_since < _BLIND_SECONDS else frozenset[str]()
                _log.warning("cannot tell which consoles may stay: %s", error)
            for session_id in asked:
                if session_id not in living:
                    self._cut(session_id, ConsoleEnd.REVOKED)
            await asyncio.sleep(_LOOK_SECONDS)

    def end_all(self) -> None:
        """Tell every page that this gateway goes away; their sessions stay."""
        for session_id in tuple(self._cuts):
            self._cut(session_id, WSCloseCode.GOING_AWAY)

    def _register(self, session_id: str) -> "asyncio.Future[int]":
        self._cut(session_id, ConsoleEnd.REPLACED)
        cut = self._cuts[session_id] = asyncio.get_running_loop().create_future()
        self._some.set()
        return cut

    def _cut(self, session_id: str, code: int) -> None:
        cut = self._cuts.get(session_id)
        if cut is not None and not cut.done():
            cut.set_result(code)


async def close(browser: web.WebSocketResponse, code: int) -> None:
    """Close with a code, unless nobody takes it: a page that reads nothing is not waited for."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await browser.close(code=code)


async def _first_end(browser: web.WebSocketResponse, relay: ClientWebSocketResponse, cut: "asyncio.Future[int]") -> int:
    """Pass on both ways until one side or the session ends, and answer with which code."""
    ways = [asyncio.ensure_future(_to_relay(browser, relay)), asyncio.ensure_future(_to_browser(relay, browser))]
    try:
        done, _ = await asyncio.wait((*ways, cut), return_when=asyncio.FIRST_COMPLETED)
        return cut.result() if cut in done else next(way.result() for way in ways if way in done)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _to_relay(browser: web.WebSocketResponse, relay: ClientWebSocketResponse) -> int:
    async for message in browser:
        if message.type is not WSMsgType.BINARY:
            return ConsoleEnd.REFUSED
        try:
            await relay.send_bytes(message.data)
        except ConnectionError:
            return ConsoleEnd.UNREACHABLE
    return WSCloseCode.OK


async def _to_browser(relay: ClientWebSocketResponse, browser: web.WebSocketResponse) -> int:
    async for message in relay:
        if message.type is WSMsgType.BINARY:
            try:
                await browser.send_bytes(message.data)
            except ConnectionError:
                return WSCloseCode.OK
    code = relay.close_code
    return code if code is not None and code in _OURS else ConsoleEnd.UNREACHABLE
