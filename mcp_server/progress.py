"""Progress of calls that take a while: what the tool itself tells, else that it is still at work."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from pydantic import PrivateAttr

_BEAT_SECONDS = 3.0
_BEATS_SHARE = 1000.0  # heartbeats rise by so little that the percentages that follow are still more


class TellingContext(Context[Any, Any]):
    """A call's context that keeps progress rising, as the protocol demands (2025-03-26, progress)."""

    _last: float = PrivateAttr(default=-1.0)
    _told: bool = PrivateAttr(default=False)

    def __init__(self, request_context: ServerRequestContext[Any, Any]) -> None:
        super().__init__(request_context=request_context)

    @property
    def told(self) -> bool:
        """Whether the tool told anything yet: heartbeats do not count."""
        return self._told

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell it, unless it is no more than before, be that a heartbeat's."""
        self._told = True
        await self._rise(progress, total, message)

    async def beat(self, seconds: float, message: str) -> None:
        """Tell that the tool is still at work, which says nothing of how far it is."""
        await self._rise(seconds / _BEATS_SHARE, None, message)

    async def _rise(self, progress: float, total: float | None, message: str | None) -> None:
        if progress > self._last:
            self._last = progress
            await super().report_progress(progress, total, message)


@asynccontextmanager
async def telling(context: Context[Any, Any], title: str) -> AsyncGenerator[TellingContext]:
    """Give a call a context; while it says nothing by itself, its client hears every three seconds that it goes on."""
    told = TellingContext(context.request_context)
    meta = context.request_context.meta
    if meta is None or meta.get("progress_token") is None:
        yield told
        return
    beating = asyncio.create_task(_beat(told, title))
    try:
        yield told
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat(told: TellingContext, title: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        if told.told:
            return
        seconds = round(loop.time() - began)
        await told.beat(seconds, f"{title}: at work for {seconds} s")
