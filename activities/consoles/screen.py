"""A machine's screen: RFB between the browser and the machine's VNC socket."""

import asyncio
import logging

from aiohttp import WSMsgType, web

from activities.consoles.rfb_filter import InputFilter, RefusedInputError
from activities.consoles.session import until_first
from domain.console import ConsoleEnd

_log = logging.getLogger(__name__)

_CHUNK = 1 << 16

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def show_screen(
    browser: web.WebSocketResponse, screen: Connection, *, view_only: bool, limit: float
) -> ConsoleEnd | None:
    """Pass on both directions until one ends, at most `limit` seconds; closes the screen's connection.

    A browser that takes nothing holds up only its own connection: QEMU then leaves out updates.
    """
    reader, writer = screen
    try:
        return await until_first(
            _to_machine(browser, writer, InputFilter(view_only=view_only)), _to_browser(reader, browser), limit=limit
        )
    finally:
        writer.close()


async def _to_machine(
    browser: web.WebSocketResponse, writer: asyncio.StreamWriter, judge: InputFilter
) -> ConsoleEnd | None:
    async for message in browser:
        if message.type is not WSMsgType.BINARY:
            return ConsoleEnd.REFUSED
        try:
            passed = judge.feed(message.data)
        except RefusedInputError as error:
            _log.warning("a screen's viewer was cut: %s", error)
            return ConsoleEnd.REFUSED
        try:
            writer.write(passed)
            await writer.drain()
        except ConnectionError:
            return ConsoleEnd.GONE
    return None


async def _to_browser(reader: asyncio.StreamReader, browser: web.WebSocketResponse) -> ConsoleEnd | None:
    while True:
        try:
            data = await reader.read(_CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            return ConsoleEnd.GONE
        try:
            await browser.send_bytes(data)
        except ConnectionError:
            return None
