"""A machine's serial port in the browser: bytes both ways, beginning with what was written before."""

import asyncio

from aiohttp import WSMsgType, web

from activities.consoles.ports import SerialTap
from activities.consoles.session import until_first
from domain.console import ConsoleEnd

REPLAY_BYTES = 64 << 10
_BACKLOG_BYTES = 512 << 10


class Backlog:
    """What a viewer has not taken yet. It is bounded: who falls further behind is cut, and the guest never waits."""

    def __init__(self, most: int = _BACKLOG_BYTES) -> None:
        self._most = most
        self._data = bytearray()
        self._changed = asyncio.Event()
        self._overrun = asyncio.Event()
        self.end: ConsoleEnd | None = None

    def put(self, data: bytes) -> None:
        """Add what the guest wrote; nothing means that the port has closed."""
        if self.end is not None:
            return
        if not data:
            self.end = ConsoleEnd.GONE
        elif len(self._data) + len(data) > self._most:
            self.end = ConsoleEnd.TOO_SLOW
            self._data.clear()
            self._overrun.set()
        else:
            self._data += data
        self._changed.set()

    async def take(self) -> bytes:
        """Return all that waits, or wait for more; nothing when it has ended, as `end` says."""
        while not self._data and self.end is None:
            self._changed.clear()
            await self._changed.wait()
        taken = bytes(self._data)
        self._data.clear()
        return taken

    async def overrun(self) -> ConsoleEnd:
        """Return when the viewer has fallen too far behind, though a message to it may still be under way."""
        await self._overrun.wait()
        return ConsoleEnd.TOO_SLOW


async def show_port(
    browser: web.WebSocketResponse, tap: SerialTap, backlog: Backlog, *, view_only: bool, limit: float
) -> ConsoleEnd | None:
    """Send the replay as the first message, then pass on both directions; closes the tap.

    Input of somebody who may only look ends the session.
    """
    try:
        await browser.send_bytes(tap.replay[-REPLAY_BYTES:])
        return await until_first(
            _to_guest(browser, tap, view_only=view_only),
            _to_browser(backlog, browser),
            backlog.overrun(),
            limit=limit,
        )
    except ConnectionError:
        return None
    finally:
        tap.close()


async def _to_guest(browser: web.WebSocketResponse, tap: SerialTap, *, view_only: bool) -> ConsoleEnd | None:
    async for message in browser:
        if message.type is not WSMsgType.BINARY or view_only:
            return ConsoleEnd.REFUSED
        try:
            await tap.write(message.data)
        except OSError:
            return ConsoleEnd.GONE
    return None


async def _to_browser(backlog: Backlog, browser: web.WebSocketResponse) -> ConsoleEnd | None:
    """Send at the browser's pace."""
    while data := await backlog.take():
        try:
            await browser.send_bytes(data)
        except ConnectionError:
            return None
    return backlog.end
