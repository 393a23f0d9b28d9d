"""A real browser, driven over the Chrome DevTools Protocol: just what the consoles' tests need of it."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CONNECTED = "document.body.dataset.state === 'connected'"
# How many pixels of the machine's screen are not black.
LIT = """(canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
    .filter((value, place) => place % 4 < 3 && value > 40).length)(document.querySelector('#machine canvas'))"""
_START_SECONDS = 60.0
_PATIENCE_SECONDS = 30.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1100,760",
    "about:blank",
)


class Page:
    """One tab. `messages` is what its developer console would show: errors and refusals of the page's policy."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read())
        self.messages: list[str] = []

    async def close(self) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        answering = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_PATIENCE_SECONDS):
            answer = await answering
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def open(self, url: str) -> None:
        """Go to an address and wait until something is shown of it."""
        await self.call("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def run(self, script: str) -> Any:
        """Evaluate an expression, awaiting a promise, and return its value."""
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    if await self.run(f"Boolean({condition})"):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            message = f"never true: {condition}\nshown: {shown}\nmessages: {self.messages}"
            raise AssertionError(message) from None

    async def type(self, text: str) -> None:
        """Press and release the key of each letter, as a keyboard does."""
        for letter in text:
            key = {"key": letter, "code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper())}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=letter, **key)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    async def click(self, selector: str) -> None:
        """Click in the middle of an element with the mouse."""
        middle = "(b => [b.x + b.width / 2, b.y + b.height / 2])"
        box = await self.run(f"{middle}(document.querySelector('{selector}').getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    async def photograph(self, path: Path, *, dark: bool = False) -> None:
        """Save what is shown, in the colours of either scheme."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.run("new Promise(done => setTimeout(done, 400))")
        taken = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.messages.append(str(told["params"]["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.messages.append(told["params"]["entry"]["text"])


async def photographed(page: Page, name: str) -> None:
    """Keep pictures where `OPENFACTORY_TEST_PICTURES` says, for people to look at."""
    folder = os.environ.get("OPENFACTORY_TEST_PICTURES")
    if folder:
        await page.photograph(Path(folder) / f"{name}.png")
        await page.photograph(Path(folder) / f"{name}-dark.png", dark=True)


class Browser:
    """A running browser with a profile of its own."""

    def __init__(self, client: aiohttp.ClientSession, address: str) -> None:
        self._client = client
        self._address = address

    @asynccontextmanager
    async def tab(self) -> AsyncGenerator[Page]:
        """Open a tab."""
        async with self._client.put(f"{self._address}/json/new?about:blank") as answer:
            told = await answer.json()
        async with self._client.ws_connect(told["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            try:
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
            finally:
                await page.close()
        async with self._client.get(f"{self._address}/json/close/{told['id']}"):
            pass


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """Run Chromium without a window."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="of-browser-") as profile:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--", CHROMIUM, f"--user-data-dir={profile}", *_FLAGS),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "HOME": profile},
            start_new_session=True,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as client:
                yield Browser(client, f"http://127.0.0.1:{port}")
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it with all its helpers, which write into the profile to the last."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.02)


async def _port(file: Path) -> int:
    """Read the port that it chose; the file appears when it listens."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int(file.read_text().splitlines()[0])
            await asyncio.sleep(0.05)
