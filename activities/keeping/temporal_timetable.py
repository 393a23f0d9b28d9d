"""Temporal's schedules as the timetable of rebuilds (`ports.Timetable`)."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.keeping.models import LOOK_WORKFLOW, Entry, LookInput
from domain.errors import Fault
from domain.rebuild.facts import Times
from domain.rebuild.inputs import Timing
from domain.rebuild.names import schedule_of, temporal_id

_MISSED = timedelta(hours=1)


class TemporalTimetable:
    """Each schedule of ours is one of Temporal's, which starts the look as a workflow, never two at a time."""

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue

    async def shown(self) -> Mapping[str, Times]:
        """List the entries by their schedules' ids."""
        try:
            listed = [entry async for entry in await self._client.list_schedules()]
        except RPCError as error:
            raise _unavailable(error) from error
        named = ((schedule_of(entry.id), entry) for entry in listed)
        return {schedule_id: _shown(entry) for schedule_id, entry in named if schedule_id is not None}

    async def put(self, wanted: Entry) -> None:
        """Make the entry, or change the one that is there."""
        try:
            await self._put(temporal_id(wanted.schedule_id), self._schedule(wanted))
        except RPCError as error:
            raise _unavailable(error) from error

    async def _put(self, name: str, schedule: Schedule) -> None:
        try:
            await self._client.create_schedule(name, schedule)
        except ScheduleAlreadyRunningError:
            await self._client.get_schedule_handle(name).update(lambda _: ScheduleUpdate(schedule=schedule))

    async def remove(self, schedule_id: str) -> None:
        """Remove the entry; harmless if there is none."""
        try:
            await self._client.get_schedule_handle(temporal_id(schedule_id)).delete()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise _unavailable(error) from error

    def _schedule(self, wanted: Entry) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                LOOK_WORKFLOW,
                LookInput(schedule_id=wanted.schedule_id),
                id=temporal_id(wanted.schedule_id),
                task_queue=self._queue,
                static_summary=f"Look for updates of {wanted.name}",
            ),
            spec=ScheduleSpec(
                intervals=[ScheduleIntervalSpec(every=timedelta(seconds=wanted.timing.every))],
                jitter=timedelta(seconds=wanted.timing.jitter),
            ),
            # What was due while nothing ran is looked at once, if it is not long ago.
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_MISSED),
            state=ScheduleState(
                paused=wanted.paused, note=f"Rebuild {wanted.name} when its packages have updates ({wanted.org_id})"
            ),
        )


def _shown(entry: ScheduleListDescription) -> Times:
    if entry.schedule is None:
        return Times(timing=None, paused=False)
    spec = entry.schedule.spec
    every = spec.intervals[0].every if len(spec.intervals) == 1 else None
    timing = None if every is None else Timing(every=_seconds(every), jitter=_seconds(spec.jitter))
    return Times(timing=timing, paused=entry.schedule.state.paused)


def _seconds(time: timedelta | None) -> int:
    return 0 if time is None else round(time.total_seconds())


def _unavailable(error: RPCError) -> Fault:
    return Fault.because("temporal.unavailable", f"the workflow engine does not answer: {error.message}")
