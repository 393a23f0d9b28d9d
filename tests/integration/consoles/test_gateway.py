"""The gateway's consoles on the wire: who gets a page, who gets its machine, and how long."""

import asyncio
import re
from collections.abc import AsyncGenerator

import aiohttp
import pytest
from aiohttp import WSMsgType
from yarl import URL

from domain.console import ConsoleEnd
from tests.fakes.consoles import VM_ID, FakePort, vm_with_console
from tests.integration.consoles.gateway import Gateway, gateway
from tests.integration.consoles.machine import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def edge() -> AsyncGenerator[Gateway]:
    async with gateway() as edge:
        edge.ports.ports[VM_ID] = FakePort()
        yield edge


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    # Cookies are kept by hand: this client's jar knows no cookies of addresses.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def opened(edge: Gateway, http: aiohttp.ClientSession, *, view_only: bool = False) -> tuple[str, dict[str, str]]:
    """Open a link to the serial port; return its address and the cookie that came with it."""
    link = await edge.link("serial", view_only=view_only)
    async with http.get(link) as answer:
        assert answer.status == 200
        return link, {"Cookie": f"of_console={answer.cookies['of_console'].value}"}


async def end(edge: Gateway, http: aiohttp.ClientSession, link: str, headers: dict[str, str]) -> int | None:
    """Connect as the page does, read to the end and tell the close code."""
    async with http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, **headers}) as socket:
        return await end_of(socket)


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(20):
        async for _ in socket:
            pass
    return socket.close_code


async def test_a_page_comes_with_a_strict_policy_and_a_cookie_for_itself_alone(
    edge: Gateway, http: aiohttp.ClientSession
) -> None:
    link = await edge.link()
    async with http.get(link) as answer:
        page = await answer.text()
        [cookie] = answer.headers.getall("Set-Cookie")
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert f"Path={link.removeprefix(edge.url)}" in cookie
    assert not re.search(r"<script(?! type=\"module\" src=)|style=|onclick", page)
    assert link.rpartition("/")[2] not in page
    assert cookie.split("=")[1].split(";")[0] not in page


async def test_a_link_opens_once_and_its_own_browser_may_load_the_page_again(
    edge: Gateway, http: aiohttp.ClientSession
) -> None:
    link, cookie = await opened(edge, http)
    async with http.get(link, headers={"Accept": "text/html"}) as answer:
        assert answer.status == 410
        words = await answer.text()
        assert "This console link does not work any more." in words
        assert "get_console_link" in words
        assert "Set-Cookie" not in answer.headers
    async with http.get(link, headers=cookie) as answer:
        assert answer.status == 200


async def test_looking_at_a_link_without_opening_it_does_not_use_it_up(
    edge: Gateway, http: aiohttp.ClientSession
) -> None:
    link = await edge.link()
    async with http.head(link) as answer:
        assert answer.status == 405
    async with http.get(link, headers={"Sec-Purpose": "prefetch;prerender"}) as answer:
        assert answer.status == 503
    async with http.get(link) as answer:
        assert answer.status == 200


async def test_an_open_page_reaches_its_machine_and_again_after_it_was_cut_off(
    edge: Gateway, http: aiohttp.ClientSession
) -> None:
    link, cookie = await opened(edge, http)
    edge.port.say(b"login: ")
    headers = {"Origin": edge.url, **cookie}
    async with http.ws_connect(f"{link}/ws", headers=headers) as socket:
        assert await socket.receive_bytes() == b"login: "
        await socket.send_bytes(b"root\r")
        await until(lambda: bytes(edge.port.typed) == b"root\r")
        edge.port.say(b"Password: ")
        assert await socket.receive_bytes() == b"Password: "
    await until(lambda: not edge.port.taps)
    async with http.ws_connect(f"{link}/ws", headers=headers) as socket:
        assert await socket.receive_bytes() == b"login: Password: "


@pytest.mark.parametrize("origin", [None, "null", "http://127.0.0.1:1", "https://evil.example", "file://"])
async def test_no_other_page_connects(edge: Gateway, http: aiohttp.ClientSession, origin: str | None) -> None:
    link, cookie = await opened(edge, http)
    headers = cookie if origin is None else {"Origin": origin, **cookie}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with http.ws_connect(f"{link}/ws", headers=headers):
            pass
    assert refused.value.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, "Host": "evil.example", **cookie}):
            pass
    assert refused.value.status == 421


async def test_no_other_browser_connects(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, _ = await opened(edge, http)
    _, foreign = await opened(edge, http)
    for headers in ({}, foreign, {"Cookie": "of_console="}):
        assert await end(edge, http, link, headers) == ConsoleEnd.REVOKED
    assert await end(edge, http, f"{edge.url}/console/nothing", foreign) == ConsoleEnd.REVOKED


async def test_a_link_that_nobody_opened_has_no_way_to_the_machine(edge: Gateway, http: aiohttp.ClientSession) -> None:
    assert await end(edge, http, await edge.link(), {}) == ConsoleEnd.REVOKED


async def test_a_revoked_session_is_cut_and_does_not_come_back(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http)
    other, kept = await opened(edge, http)
    async with (
        http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, **cookie}) as socket,
        http.ws_connect(f"{other}/ws", headers={"Origin": edge.url, **kept}) as staying,
    ):
        await socket.receive_bytes()
        await staying.receive_bytes()
        # Only the first: as if its key had been revoked.
        del edge.world.grants.sessions[link.rpartition("/")[2], cookie["Cookie"].removeprefix("of_console=")]
        assert await end_of(socket) == ConsoleEnd.REVOKED
        edge.port.say(b"on")
        assert await staying.receive_bytes() == b"on"
    assert await end(edge, http, link, cookie) == ConsoleEnd.REVOKED


async def test_a_page_that_connects_again_takes_over(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http)
    headers = {"Origin": edge.url, **cookie}
    async with http.ws_connect(f"{link}/ws", headers=headers) as first:
        await first.receive_bytes()
        async with http.ws_connect(f"{link}/ws", headers=headers) as second:
            assert await end_of(first) == ConsoleEnd.REPLACED
            await second.receive_bytes()
            edge.port.say(b"still here")
            assert await second.receive_bytes() == b"still here"


async def test_a_machine_that_is_off_or_whose_host_is_away_is_said(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http)
    async with http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, **cookie}) as socket:
        await socket.receive_bytes()
        edge.port.say(b"")
        assert await end_of(socket) == ConsoleEnd.GONE
    del edge.ports.ports[VM_ID]
    assert await end(edge, http, link, cookie) == ConsoleEnd.GONE
    edge.world.reads.vms[VM_ID] = vm_with_console("http://127.0.0.1:9")
    assert await end(edge, http, link, cookie) == ConsoleEnd.UNREACHABLE
    edge.world.reads.vms[VM_ID] = vm_with_console("http://127.0.0.1:9", status="stopped")
    assert await end(edge, http, link, cookie) == ConsoleEnd.GONE
    edge.world.reads.vms[VM_ID] = vm_with_console("http://127.0.0.1:9", status="deleted")
    assert await end(edge, http, link, cookie) == ConsoleEnd.REVOKED
    edge.world.reads.away = True
    assert await end(edge, http, link, cookie) == ConsoleEnd.UNREACHABLE


async def test_who_may_only_look_gives_no_input(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http, view_only=True)
    async with http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, **cookie}) as socket:
        await socket.receive_bytes()
        await socket.send_bytes(b"reboot\r")
        assert await end_of(socket) == ConsoleEnd.REFUSED
    assert edge.port.typed == b""


async def test_text_is_not_what_a_console_speaks(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http)
    async with http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, **cookie}) as socket:
        await socket.send_str("hello")
        assert await end_of(socket) == ConsoleEnd.REFUSED


async def test_a_page_that_leaves_leaves_nothing_behind(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http)
    for _ in range(3):
        async with http.ws_connect(f"{link}/ws", headers={"Origin": edge.url, **cookie}) as socket:
            assert (await socket.receive()).type is WSMsgType.BINARY
        await until(lambda: not edge.port.taps)


async def test_the_address_of_a_socket_is_no_page(edge: Gateway, http: aiohttp.ClientSession) -> None:
    link, cookie = await opened(edge, http)
    async with http.get(f"{link}/ws", headers={"Origin": edge.url, **cookie}) as answer:
        assert answer.status == 426


async def test_all_that_a_page_loads_comes_from_here_and_nothing_else_does(
    edge: Gateway, http: aiohttp.ClientSession
) -> None:
    async with http.get(await edge.link("serial")) as answer:
        page = await answer.text()
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(addresses) >= 5
    for address in [*addresses, "/static/vendor/novnc-1.7.0/core/rfb.js", "/static/console/vnc.js"]:
        async with http.get(edge.url + address) as answer:
            assert answer.status == 200, address
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with http.get(f"{edge.url}/static/console/vnc.js") as answer:
        tag = answer.headers["ETag"]
    async with http.get(f"{edge.url}/static/console/vnc.js", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    for absent in ("vendor/vendor.json", "vendor/novnc-1.7.0/AUTHORS", "vendor/%2e%2e/mark.svg", "console/nothing.js"):
        async with http.get(URL(f"{edge.url}/static/{absent}", encoded=True)) as answer:
            assert answer.status == 404, absent
