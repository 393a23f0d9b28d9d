"""The factory's state for the public page, asked for at most every two seconds however many look."""

import asyncio

from aiohttp import ClientError, ClientSession, ClientTimeout

from domain.views import FactoryHealth, PartHealth
from service.factory import Factory
from service.health import check_health

_FRESH_SECONDS = 2.0
_MCP = "MCP server"
_LIMIT = ClientTimeout(total=2.0)


class StateBoard:
    """Remembers the last answer; those who ask at once wait for one question."""

    def __init__(self, factory: Factory, upstream: ClientSession, mcp_url: str) -> None:
        self._factory = factory
        self._upstream = upstream
        self._mcp_health = f"{mcp_url}/healthz"
        self._asking = asyncio.Lock()
        self._seen: FactoryHealth | None = None
        self._seen_at = 0.0

    async def look(self) -> FactoryHealth:
        """Return the state, at most two seconds old."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._seen is None or now - self._seen_at > _FRESH_SECONDS:
                health, mcp = await asyncio.gather(check_health(self._factory), self._ask_mcp())
                self._seen = health.model_copy(update={"ok": health.ok and mcp.ok, "parts": (mcp, *health.parts)})
                self._seen_at = asyncio.get_running_loop().time()
            return self._seen

    async def _ask_mcp(self) -> PartHealth:
        try:
            async with self._upstream.get(self._mcp_health, timeout=_LIMIT) as answer:
                ok = answer.ok
        except (ClientError, TimeoutError, OSError):
            ok = False
        return PartHealth(name=_MCP, ok=ok, note=None if ok else "does not answer")
