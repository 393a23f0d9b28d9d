"""The event log in memory, deciding as the real one does."""

import asyncio
from collections import defaultdict

from temporalio import activity

from activities.record_models import RECORD_BUILD, RecordInput, RecordResult
from domain.build.decide import decide
from domain.build.events import BuildEvent
from domain.build.state import BuildState, BuildStatus, fold
from domain.errors import Verdict


class FakeRecording:
    """Keeps one stream per build."""

    def __init__(self) -> None:
        self.streams: dict[str, list[BuildEvent]] = defaultdict(list)
        self._grown = asyncio.Condition()
        self.refusal: Verdict | None = None

    @activity.defn(name=RECORD_BUILD)
    async def record_build(self, request: RecordInput) -> RecordResult:
        """Decide and append."""
        if self.refusal is not None and request.command.kind == "request":
            raise self.refusal
        stream = self.streams[request.build_id]
        new = decide(fold(tuple(stream)), request.command, now=request.at)
        stream.extend(new)
        async with self._grown:
            self._grown.notify_all()
        return RecordResult(version=len(stream), appended=len(new))

    def state(self, build_id: str) -> BuildState:
        """The build as the log has it."""
        state = fold(tuple(self.streams[build_id]))
        assert state is not None
        return state

    async def reached(self, build_id: str, status: BuildStatus) -> None:
        """Return once the build has that status."""
        async with self._grown:
            await self._grown.wait_for(lambda: bool(self.streams[build_id]) and self.state(build_id).status == status)

    def names(self, build_id: str) -> list[str]:
        """The names of the build's events, in order."""
        return [event.NAME for event in self.streams[build_id]]
