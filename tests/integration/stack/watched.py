"""A supervisor under test, and all that it told."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cli.stack import leftovers
from cli.stack.part import Part
from cli.stack.restarts import RestartPolicy
from cli.stack.state import PartState
from cli.stack.supervisor import Supervisor

QUICK = RestartPolicy(first=0.05, longest=0.2)


class Watched:
    """A supervisor under test, and all that it told."""

    def __init__(self, home: Path, given: Sequence[Part]) -> None:
        self.told: list[PartState] = []
        self.stop = asyncio.Event()
        self._news = asyncio.Condition()
        self.supervisor = Supervisor(given, logs=home, run=home, on_change=self._hear, policy=QUICK)

    def _hear(self, state: PartState) -> None:
        self.told.append(state)
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self._wake()))

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, name: str, condition: str, restarts: int = 0) -> PartState:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: self._latest(name, condition, restarts) is not None)
        found = self._latest(name, condition, restarts)
        assert found is not None
        return found

    def _latest(self, name: str, condition: str, restarts: int) -> PartState | None:
        fitting = (s for s in reversed(self.told) if s.name == name)
        return next((s for s in fitting if s.condition == condition and s.restarts >= restarts), None)

    def order(self, condition: str) -> list[str]:
        return [s.name for s in self.told if s.condition == condition]


@asynccontextmanager
async def running(home: Path, *given: Part) -> AsyncGenerator[Watched]:
    watched = Watched(home, given)
    task = asyncio.create_task(watched.supervisor.run(watched.stop))
    try:
        yield watched
    finally:
        watched.stop.set()
        await task


def alive(pid: int) -> bool:
    return leftovers.identify(pid) is not None
