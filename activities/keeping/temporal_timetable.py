"""Temporal's schedules as the timetable of rebuilds (`ports.Timetable`)."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.keeping.models import LOOK_WORKFLOW, ApplySchedule, LookInput
from domain.errors import Fault
from domain.rebuild.inputs import Timing
from domain.rebuild.names import temporal_id

_MISSED = timedelta(hours=1)


class TemporalTimetable:
    """Each schedule of ours is one of Temporal's, which starts the look as a workflow, never two at a time."""

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue

    async def put(self, wanted: ApplySchedule) -> None:
        """Make the entry, or change the one that is there."""
        schedule_id = temporal_id(wanted.schedule_id)
        if wanted.timing is None:
            raise AssertionError("an entry needs its times")
        schedule = self._schedule(wanted, wanted.timing)
        try:
            await self._client.create_schedule(schedule_id, schedule)
        except ScheduleAlreadyRunningError:
            await self._client.get_schedule_handle(schedule_id).update(lambda _: ScheduleUpdate(schedule=schedule))
        except RPCError as error:
            raise _unavailable(error) from error

    async def remove(self, schedule_id: str) -> None:
        """Remove the entry; harmless if there is none."""
        try:
            await self._client.get_schedule_handle(temporal_id(schedule_id)).delete()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise _unavailable(error) from error

    def _schedule(self, wanted: ApplySchedule, timing: Timing) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                LOOK_WORKFLOW,
                LookInput(schedule_id=wanted.schedule_id),
                id=temporal_id(wanted.schedule_id),
                task_queue=self._queue,
                static_summary=f"Look for updates of {wanted.name}",
            ),
            spec=ScheduleSpec(
                intervals=[ScheduleIntervalSpec(every=timedelta(seconds=timing.every))],
                jitter=timedelta(seconds=timing.jitter),
            ),
            # What was due while nothing ran is looked at once, if it is not long ago.
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_MISSED),
            state=ScheduleState(
                paused=wanted.paused, note=f"Rebuild {wanted.name} when its packages have updates ({wanted.org_id})"
            ),
        )


def _unavailable(error: RPCError) -> Fault:
    return Fault.because("temporal.unavailable", f"the workflow engine does not answer: {error.message}")
