"""What the factory does unasked, at set intervals: schedules of the workflow engine, made at each start."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

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
    ScheduleUpdateInput,
)

from workflows import policies
from workflows.collect import CollectWorkflow
from workflows.histories import HistoriesWorkflow
from workflows.reconcile import ReconcileWorkflow

RECONCILER: Final = "reconciler"
COLLECTOR: Final = "collector"
HISTORIAN: Final = "historian"


class Duty(NamedTuple):
    """A workflow without input that is started again and again, never twice at a time."""

    name: str
    run: Any
    every: timedelta
    note: str


DUTIES: Final = (
    Duty(
        RECONCILER,
        ReconcileWorkflow.run,
        policies.RECONCILE_EVERY,
        "Ends jobs whose workflows were terminated, ran out of time or are gone.",
    ),
    Duty(
        COLLECTOR,
        CollectWorkflow.run,
        policies.COLLECT_EVERY,
        "Removes what nobody refers to: objects, and what hosts have not wanted for long.",
    ),
    Duty(
        HISTORIAN,
        HistoriesWorkflow.run,
        policies.HISTORIES_EVERY,
        "Keeps the histories of closed runs with the evidence of their jobs.",
    ),
)


async def ensure_schedules(client: Client) -> None:
    """Make the schedules, or bring those that are there to today's code; one that somebody paused stays paused.

    Each is begun at once: what was left undone while no worker ran should not wait for its turn.
    """
    for duty in DUTIES:
        schedule = _schedule(duty)
        try:
            await client.create_schedule(duty.name, schedule, trigger_immediately=True)
        except ScheduleAlreadyRunningError:
            handle = client.get_schedule_handle(duty.name)
            await handle.update(lambda known, schedule=schedule: _renewed(known, schedule))
            if not (await handle.describe()).schedule.state.paused:
                await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)


def _schedule(duty: Duty) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            duty.run, id=duty.name, task_queue=policies.CORE_QUEUE, static_summary=duty.note
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=duty.every)]),
        # What was due while nothing ran is not caught up on: one look sees it all.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=duty.every),
        state=ScheduleState(note=duty.note),
    )


def _renewed(known: ScheduleUpdateInput, schedule: Schedule) -> ScheduleUpdate:
    state = known.description.schedule.state
    schedule.state.paused = state.paused
    if state.paused:
        schedule.state.note = state.note
    return ScheduleUpdate(schedule=schedule)
