"""The one activity that appends to the event log."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from temporalio import activity

from activities.record_models import RECORD_BUILD, RecordInput, RecordResult
from domain.build.decide import decide
from domain.build.events import BuildEvent
from domain.build.state import fold
from event_store.log import Decide, EventLog, Statement
from event_store.mapper import Cause


class RecordActivities:
    """Appends what a workflow tells, once for each activity however often it runs.

    A quota reservation joins the same transaction as `EventLog.append(…, also=…)`.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log

    @activity.defn(name=RECORD_BUILD)
    async def record_build(self, request: RecordInput) -> RecordResult:
        """Read the build's stream, decide the command against it, append.

        Raises:
            Verdict: the command does not fit the build (see `domain.build.decide`).
            Fault: `log.unavailable` or `log.contended`.

        """

        def decided(history: tuple[BuildEvent, ...]) -> tuple[BuildEvent, ...]:
            return decide(fold(history), request.command, now=request.at)

        return await self._append(request.build_id, decided)

    async def _append(self, stream: str, decided: Decide, *, also: Sequence[Statement] = ()) -> RecordResult:
        """Append to a stream, once for the activity that runs."""
        info = activity.info()
        cause = Cause(run_id=info.workflow_run_id or "", activity_id=info.activity_id)
        done = await asyncio.to_thread(self._log.append, UUID(stream), cause, decided, also=also)
        return RecordResult(version=done.version, appended=done.appended)
