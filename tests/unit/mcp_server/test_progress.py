"""Progress rises, whoever tells it: the heartbeat that says a tool is still at work, then the tool itself."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mcp.server.mcpserver import Context

from mcp_server import progress


class Heard:
    """A client's side of a call."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str | None]] = []

    async def report_progress(self, value: float, total: float | None = None, message: str | None = None) -> None:
        self.told.append((value, message))

    def context(self) -> Context[Any, Any]:
        session = SimpleNamespace(report_progress=self.report_progress)
        request = SimpleNamespace(meta={"progress_token": 1}, session=session)
        return Context(request_context=cast("Any", request))


async def test_a_percentage_after_heartbeats_is_more_than_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_BEAT_SECONDS", 0.6)
    heard = Heard()
    async with progress.telling(heard.context(), "Status") as told:
        await asyncio.sleep(1.5)
        assert not told.told
        assert heard.told
        assert all(message is not None and message.startswith("Status: at work for ") for _, message in heard.told)
        for percent in (0, 0.5, 2, 2, 1, 50):
            await told.report_progress(percent, 100, f"{percent} percent")
        assert told.told
    values = [value for value, _ in heard.told]
    assert values == sorted(set(values))
    assert [message for _, message in heard.told][-3:] == ["0.5 percent", "2 percent", "50 percent"]


async def test_what_is_told_in_the_end_ends_the_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_BEAT_SECONDS", 0.05)
    heard = Heard()
    async with progress.telling(heard.context(), "Status") as told:
        await told.report_progress(0, 100, "waits")
        await asyncio.sleep(0.2)
    assert heard.told == [(0, "waits")]
