"""The consoles as a person has them: a real browser, the real gateway and relay, and a real machine behind them."""

import json
from collections.abc import AsyncGenerator
from datetime import timedelta

import aiohttp
import pytest

from domain.console import ConsoleEnd
from tests.fakes.consoles import VM_ID, FakePort
from tests.integration.consoles.browser import CHROMIUM, CONNECTED, LIT, Browser, browser, photographed
from tests.integration.consoles.gateway import Gateway, gateway
from tests.integration.consoles.machine import BANNER, until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not installed; ./openfactory test installs it, or: apt install chromium"
    ),
]

# Speaks RFB by itself: shakes hands and presses z five times.
TAMPERED = """new Promise(done => {
    const socket = new WebSocket(location.href.replace('http', 'ws') + '/ws');
    socket.onopen = () => {
        socket.send(new TextEncoder().encode('RFB 003.008\\n\\x01\\x01'));
        for (const down of [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]) socket.send(Uint8Array.of(4, down, 0, 0, 0, 0, 0, 122));
    };
    let got = 0;
    socket.onmessage = event => { got += event.data.size; if (got > 40) done(); };
})"""


@pytest.fixture
async def edge() -> AsyncGenerator[Gateway]:
    async with gateway() as edge:
        yield edge


@pytest.fixture
async def chromium() -> AsyncGenerator[Browser]:
    async with browser() as running:
        yield running


async def test_the_screen_is_seen_and_takes_keys_and_ctrl_alt_del(edge: Gateway, chromium: Browser) -> None:
    async with edge.machine(), chromium.tab() as page:
        await page.open(await edge.link())
        await page.until(CONNECTED)
        assert await page.run("document.querySelector('h1').textContent") == "web"
        await page.until(f"{LIT} > 500")
        before = await page.run(LIT)
        await page.type("knock")
        await until(lambda: BANNER + b"knock" in edge.port.written)
        await page.until(f"{LIT} > {before}")
        await photographed(page, "screen")
        await page.click("#ctrl-alt-del")
        await until(lambda: edge.port.written.count(BANNER) == 2)
        assert page.messages == []


async def test_text_is_typed_by_the_keys_of_a_keyboard(edge: Gateway, chromium: Browser) -> None:
    text = "curl -X POST 'http://[::1]/?a=B&c=~d_e' | tee \"$HOME\" #!@%^*()+{}<>,.;\\`"
    async with edge.machine(), chromium.tab() as page:
        await page.open(await edge.link())
        await page.until(CONNECTED)
        await page.click("#clipboard-open")
        await page.run(f"document.getElementById('paste').value = {json.dumps(text + 'é')}")
        await page.click("#type")
        await until(lambda: text.encode() in edge.port.written)
        await page.until("document.getElementById('type').textContent === 'Left out: é'")
        await photographed(page, "screen-clipboard")


async def test_who_may_only_look_sees_and_changes_nothing(edge: Gateway, chromium: Browser) -> None:
    async with edge.machine(), chromium.tab() as looking, chromium.tab() as controlling:
        await looking.open(await edge.link(view_only=True))
        await looking.until(CONNECTED)
        await looking.until(f"{LIT} > 500")
        assert await looking.run("document.getElementById('badge').textContent") == "View only"
        assert await looking.run("document.getElementById('ctrl-alt-del')") is None
        assert await looking.run("document.getElementById('clipboard-open').offsetParent") is None
        await looking.click("#machine")
        await looking.type("zzz")
        await photographed(looking, "screen-view-only")
        # Even a page that was tampered with gets nothing through.
        await looking.run(TAMPERED)
        await controlling.open(await edge.link())
        await controlling.until(CONNECTED)
        await controlling.type("second")
        await until(lambda: b"second" in edge.port.written)
        assert b"z" not in edge.port.written
        # The same from a page that may.
        await controlling.run(TAMPERED)
        await until(lambda: b"zzzzz" in edge.port.written)


async def test_the_serial_console_shows_the_past_and_takes_input_and_gives_its_text(
    edge: Gateway, chromium: Browser
) -> None:
    async with edge.machine(), chromium.tab() as page:
        edge.port.say(b"\r\n\x1b[1;32mgreen\x1b[0m \x1b[38;2;255;120;0mtrue colour\x1b[0m\x1b[6n\r\n$ ")
        await page.open(await edge.link("serial"))
        await page.until(CONNECTED)
        await page.until("document.querySelector('.xterm-rows').textContent.includes('true colour')")
        await page.type("uname")
        await until(lambda: b"uname" in edge.port.written)
        # The question for the cursor's place is of the past: nobody answers it now.
        assert bytes(edge.port.typed) == b"uname"
        await page.until("document.querySelector('.xterm-rows').textContent.includes('uname')")
        await page.click("#clipboard-open")
        assert "green true colour\n$ uname" in await page.run("document.getElementById('copied').value")
        await page.run("document.getElementById('paste').value = 'two\\nlines\\n'")
        await page.click("#type")
        await until(lambda: edge.port.typed.endswith(b"two\rlines\r"))
        await photographed(page, "serial")
        assert page.messages == []


async def test_a_guest_cannot_reach_into_the_page(edge: Gateway, chromium: Browser) -> None:
    port = edge.ports.ports[VM_ID] = FakePort()
    async with chromium.tab() as page:
        await page.open(await edge.link("serial"))
        await page.until(CONNECTED)
        port.say(
            b"<img src=x onerror=alert(1)>\x1b]0;stolen title\x07\x1b]52;c;c3RvbGVu\x07"
            b"\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 end"
        )
        await page.until("document.querySelector('.xterm-rows').textContent.includes('end')")
        assert await page.run("document.title") == "web · Serial console"
        assert await page.run("document.querySelectorAll('img[src=x], a[href^=javascript]').length") == 0
        assert page.messages == []


async def test_a_machine_that_goes_off_is_said_and_the_page_finds_it_again(edge: Gateway, chromium: Browser) -> None:
    async with chromium.tab() as page:
        async with edge.machine():
            await page.open(await edge.link())
            await page.until(CONNECTED)
        await page.until("document.getElementById('notice-title').textContent === 'The machine is off'")
        await page.until("document.body.dataset.state === 'waiting'")
        await photographed(page, "screen-off")
        (edge.folder / "v").unlink(missing_ok=True)
        (edge.folder / "s").unlink(missing_ok=True)
        async with edge.machine():
            await page.until(CONNECTED)
            assert await page.run("document.getElementById('notice').hidden")
            await page.type("back")
            await until(lambda: b"back" in edge.port.written)


async def test_a_link_used_expired_or_made_up_opens_a_page_that_says_what_to_do(
    edge: Gateway, chromium: Browser
) -> None:
    edge.ports.ports[VM_ID] = FakePort()
    used, expired = await edge.link("serial"), await edge.link("serial")
    async with aiohttp.ClientSession() as somebody_else, somebody_else.get(used) as answer:
        assert answer.status == 200
    edge.world.now += timedelta(seconds=61)
    async with chromium.tab() as page:
        for link in (used, expired, f"{edge.url}/console/made-up"):
            await page.open(link)
            words = await page.run("document.body.innerText")
            assert "This console link does not work any more." in words
            assert "Ask for a new one: get_console_link." in words
        await photographed(page, "used-link")


async def test_a_revoked_session_ends_the_page_in_words_without_a_way_back(edge: Gateway, chromium: Browser) -> None:
    edge.ports.ports[VM_ID] = FakePort()
    async with chromium.tab() as page:
        await page.open(await edge.link("serial"))
        await page.until(CONNECTED)
        await edge.world.grants.revoke("local", vm_id=VM_ID)
        await page.until("document.body.dataset.state === 'ended'")
        assert await page.run("document.getElementById('notice-title').textContent") == "This session is over"
        assert await page.run("document.getElementById('reconnect').hidden")


async def test_the_page_has_words_for_every_end(edge: Gateway, chromium: Browser) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{edge.url}/static/console/frame.js") as answer:
        script = await answer.text()
    for end in ConsoleEnd:
        assert f"  {end.value}: {{ title:" in script, end
