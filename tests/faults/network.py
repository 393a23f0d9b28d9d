"""What the laboratory puts between the factory and the world: a proxy before the object store, a mirror of packages."""

import asyncio
import io
import random
from collections.abc import Callable
from typing import Literal

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, web
from yarl import URL

Damage = Literal["none", "error500", "truncated", "flipped", "away"]
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
_LARGEST = 256 << 20


class ObjectStoreProxy:
    """Passes on what is asked of an S3 service, and damages the answers if told to.

    Signatures are made for the address that the client sees, and checked against the Host header, which is passed on
    as it came. `upstream` answers the port of the real one, which may change.
    """

    def __init__(self, upstream: Callable[[], int]) -> None:
        self._upstream = upstream
        self._session: ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._chance = random.Random(0)
        self.damage: Damage = "none"
        self.share = 1.0
        self.damaged = 0
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        self._session = ClientSession(
            auto_decompress=False, cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=60, connect=5)
        )
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(application, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Let go."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def harm(self, damage: Damage, chance: random.Random, share: float) -> None:
        """Damage this share of the answers from now on."""
        self._chance, self.share, self.damaged = chance, share, 0
        self.damage = damage

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        hit = self.damage != "none" and self._chance.random() < self.share
        body = await request.read()
        if hit and self.damage == "error500":
            self.damaged += 1
            if self._chance.random() < 0.5:  # the request was done, its answer is lost
                await self._ask(request, body)
            return web.Response(status=500, text="<Error><Code>InternalError</Code></Error>")
        if hit and self.damage == "away":
            self.damaged += 1
            return _cut(request)
        if hit and self.damage == "flipped" and request.method == "PUT" and body:  # on the way in, not back
            self.damaged += 1
            body = self._flipped(body)
        try:
            status, headers, answer = await self._ask(request, body)
        except (ClientError, OSError, TimeoutError):
            return _cut(request)
        if request.method == "GET" and answer and hit:
            self.damaged += 1
            return await self._spoilt(request, status, headers, answer)
        if request.method == "HEAD":
            return web.Response(status=status, headers=headers)
        return web.Response(status=status, headers=_without_length(headers), body=answer)

    def _flipped(self, content: bytes) -> bytes:
        at = self._chance.randrange(len(content))
        return content[:at] + bytes([content[at] ^ (1 << self._chance.randrange(8))]) + content[at + 1 :]

    async def _ask(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None
        url = URL(f"http://127.0.0.1:{self._upstream()}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=io.BytesIO(body) if body else None,
            skip_auto_headers=("Accept", "User-Agent", "Content-Type"),
        ) as response:
            kept = {n: v for n, v in response.headers.items() if n.lower() not in _HOP - {"content-length"}}
            return response.status, kept, await response.read()

    async def _spoilt(
        self, request: web.Request, status: int, headers: dict[str, str], answer: bytes
    ) -> web.StreamResponse:
        if self.damage == "flipped":
            return web.Response(status=status, headers=_without_length(headers), body=self._flipped(answer))
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(answer)
        await response.prepare(request)
        await response.write(answer[: self._chance.randrange(len(answer))])
        return _cut(request, response)


class Mirror:
    """A package mirror that can be away: with nothing but an index, or before real archives, by their names."""

    def __init__(self) -> None:
        self.down = False
        self.archives: dict[str, str] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        self._session = ClientSession(auto_decompress=False, cookie_jar=DummyCookieJar())
        application = web.Application()
        application.router.add_get("/index", self._index)
        application.router.add_get("/{archive}/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(application, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Let go."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _index(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return _cut(request)
        await asyncio.sleep(0)
        return web.Response(text="2026-01-01T00:00:00Z")

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        upstream = self.archives.get(request.match_info["archive"])
        if self.down or upstream is None or self._session is None:
            return _cut(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in {*_HOP, "host"}}
        url = URL(upstream + request.match_info["path"])
        async with self._session.get(url, headers=headers, skip_auto_headers=("Accept", "User-Agent")) as found:
            kept = {n: v for n, v in found.headers.items() if n.lower() not in _HOP - {"content-length"}}
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            async for chunk in found.content.iter_chunked(1 << 16):
                if self.down:
                    return _cut(request, answer)
                await answer.write(chunk)
            return answer


def _cut(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Break the connection off."""
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=500)


def _without_length(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-length"}
