"""A host's console relay: the gateway's way to the screens and serial ports of the machines beside it.

It serves WebSockets at `/vnc/<vm id>` and `/serial/<vm id>` to whoever shows a ticket of the gateway. A
ticket opens one console of one machine, once. Browsers never come here themselves.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime

from aiohttp import web

from activities.consoles.ports import Screens, SerialHub
from activities.consoles.screen import show_screen
from activities.consoles.serial_console import Backlog, show_port
from domain.console import ConsoleChannel, ConsoleEnd, ConsoleTicket
from domain.errors import Fault, Verdict
from infra.console_tickets import TicketSigner

_log = logging.getLogger(__name__)

VIEWERS = 8
"""At one console of one machine at once."""
_HEARTBEAT_SECONDS = 20.0
_CLOSE_SECONDS = 2.0
_LONGEST_MESSAGE = 2 << 20  # a clipboard of 1 MiB and what comes with it
_BEARER = "Bearer "


def _now() -> datetime:
    return datetime.now(UTC)


class ConsoleRelay:
    """Made without listening: `async with relay.serve(...) as address`."""

    def __init__(
        self, signer: TicketSigner, screens: Screens, ports: SerialHub, *, now: Callable[[], datetime] = _now
    ) -> None:
        self._signer = signer
        self._screens = screens
        self._ports = ports
        self._now = now
        self._used: dict[str, datetime] = {}
        self._viewers: Counter[tuple[str, str]] = Counter()

    @asynccontextmanager
    async def serve(self, bind: str, url: str | None = None) -> AsyncGenerator[str]:
        """Listen at `bind` (`address:port`) and answer the address for the gateway: `url`, or what is bound.

        Raises:
            Verdict: `settings.invalid` if the gateway could not know where this is.
            Fault: `host.relay` if it cannot listen there.

        """
        address, _, port = bind.rpartition(":")
        address = address.strip("[]")
        if url is None and address in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not bound to
            raise Verdict.because(
                "settings.invalid",
                f"OPENFACTORY_RELAY_BIND is {bind}, which is no address that the gateway could connect to",
                path="OPENFACTORY_RELAY_URL",
                next="Set OPENFACTORY_RELAY_URL to this host's address, as in http://10.0.0.5:7301.",
            )
        app = web.Application()
        app.router.add_get("/vnc/{vm_id}", self._vnc, allow_head=False)
        app.router.add_get("/serial/{vm_id}", self._serial, allow_head=False)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, address, int(port)).start()
            except OSError as error:
                raise Fault.because(
                    "host.relay", f"the console relay cannot listen at {bind}: {error.strerror or error}"
                ) from error
            bound = runner.addresses[0]
            name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            yield url or f"http://{name}:{bound[1]}"
        finally:
            await runner.cleanup()

    async def _vnc(self, request: web.Request) -> web.StreamResponse:
        ticket = self._admitted(request, "vnc")
        with self._counted(ticket):
            try:
                screen = await asyncio.open_unix_connection(str(self._screens(ticket.vm_id)))
            except OSError as error:
                raise web.HTTPNotFound(text="this machine has no screen just now") from error
            try:
                browser = await _accepted(request)
                end = await show_screen(browser, screen, view_only=ticket.mode == "view", limit=self._left(ticket))
            finally:
                screen[1].close()
            return await _closed(browser, end)

    async def _serial(self, request: web.Request) -> web.StreamResponse:
        ticket = self._admitted(request, "serial")
        with self._counted(ticket):
            backlog = Backlog()
            tap = self._ports.attach(ticket.vm_id, backlog.put)
            if tap is None:
                raise web.HTTPNotFound(text="this machine has no serial port just now")
            try:
                browser = await _accepted(request)
                end = await show_port(browser, tap, backlog, view_only=ticket.mode == "view", limit=self._left(ticket))
            finally:
                tap.close()
            return await _closed(browser, end)

    def _admitted(self, request: web.Request, channel: ConsoleChannel) -> ConsoleTicket:
        """Return the ticket if it is for this console and comes for the first time."""
        header = request.headers.get("Authorization", "")
        now = self._now()
        try:
            ticket = self._signer.verify(header.removeprefix(_BEARER), now=now)
        except Verdict as refused:
            raise web.HTTPUnauthorized(text=str(refused)) from refused
        self._used = {key: expires_at for key, expires_at in self._used.items() if expires_at > now}
        if ticket.channel != channel or ticket.vm_id != request.match_info["vm_id"] or ticket.id in self._used:
            raise web.HTTPUnauthorized(text="this ticket is for another console, or it was used")
        self._used[ticket.id] = ticket.expires_at
        return ticket

    @contextmanager
    def _counted(self, ticket: ConsoleTicket) -> Generator[None]:
        console = (ticket.vm_id, ticket.channel)
        if self._viewers[console] >= VIEWERS:
            raise web.HTTPTooManyRequests(text="this console has as many viewers as it may have")
        self._viewers[console] += 1
        _log.info("console %s of %s opened to %s", ticket.channel, ticket.vm_id, ticket.mode)
        try:
            yield
        finally:
            self._viewers[console] -= 1
            self._viewers += Counter()  # keeps those above zero alone
            _log.info("console %s of %s closed", ticket.channel, ticket.vm_id)

    def _left(self, ticket: ConsoleTicket) -> float:
        return (ticket.ends_at - self._now()).total_seconds()


async def _accepted(request: web.Request) -> web.WebSocketResponse:
    browser = web.WebSocketResponse(
        heartbeat=_HEARTBEAT_SECONDS, max_msg_size=_LONGEST_MESSAGE, compress=False, timeout=_CLOSE_SECONDS
    )
    try:
        await browser.prepare(request)
    except web.HTTPException as error:
        raise web.HTTPUpgradeRequired(text="consoles are WebSockets") from error
    return browser


async def _closed(browser: web.WebSocketResponse, end: ConsoleEnd | None) -> web.WebSocketResponse:
    """Say why, unless nobody takes it: a browser that reads nothing is not waited for."""
    if end is not None:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await browser.close(code=end)
    return browser
