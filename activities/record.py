"""The one activity that appends to the event log."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from temporalio import activity

from activities.record_models import RECORD_BUILD, RECORD_VM, RecordInput, RecordResult, RecordVmInput
from domain.build.decide import decide
from domain.build.events import BuildEvent
from domain.build.state import fold
from domain.vm import decide as vm_decide
from domain.vm import state as vm_state
from domain.vm.events import VmEvent
from event_store.log import Decide, EventLog, Statement
from event_store.mapper import Cause
from event_store.reservations import statements_of


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

    @activity.defn(name=RECORD_VM)
    async def record_vm(self, request: RecordVmInput) -> RecordResult:
        """Read the machine's stream, decide the command against it, append; its quota is in the same transaction.

        Raises:
            Verdict: the command does not fit the machine (see `domain.vm.decide`), or `vm.quota`.
            Fault: `log.unavailable` or `log.contended`.

        """
        command = request.command

        def decided(history: tuple[VmEvent, ...]) -> tuple[VmEvent, ...]:
            return vm_decide.decide(vm_state.fold(history), command, now=request.at)

        return await self._append(request.stream_id, decided, also=statements_of(request.stream_id, command))

    async def _append(self, stream: str, decided: Decide, *, also: Sequence[Statement] = ()) -> RecordResult:
        """Append to a stream, once for the activity that runs."""
        info = activity.info()
        cause = Cause(run_id=info.workflow_run_id or "", activity_id=info.activity_id)
        done = await asyncio.to_thread(self._log.append, UUID(stream), cause, decided, also=also)
        return RecordResult(version=done.version, appended=done.appended)
