"""The fleet: the one authority over hosts and what is promised of them, to machines and to builds.

A host is up as long as it holds the activity `hold_host`, whose heartbeats the host sends from afar and whose
time limit runs here. The host ends its machines by itself well before that limit, so when it has passed they do
not run any more, and only then are they declared lost.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimedOut
from temporalio.workflow import ActivityCancellationType

from workflows import policies
from workflows.fleet_board import fleet_page

with workflow.unsafe.imports_passed_through():
    from activities.machines.vm_models import HostCapacity, HostLeft
    from workflows import fleet_rules as rules
    from workflows import slot_rules as slots
    from workflows.fleet_models import (
        FLEET_MEMO,
        Answer,
        FleetInput,
        FleetState,
        FleetView,
        GiveBack,
        HostLost,
        Lease,
        Queued,
        Refusal,
        ReserveRequest,
    )
    from workflows.slot_models import (
        BuildAnswer,
        Slot,
        SlotCheck,
        SlotEnd,
        SlotRefused,
        SlotRequest,
        SlotWait,
        Superseded,
    )

_SIGNALS: Final[Mapping[type, str]] = {
    Lease: "placed",
    Refusal: "refused",
    Queued: "queued",
    HostLost: "host_lost",
    Slot: "slot_granted",
    SlotWait: "slot_queued",
    SlotRefused: "slot_refused",
    SlotCheck: "slot_checked",
    Superseded: "superseded",
}


@workflow.defn
class FleetWorkflow:
    """Keeps hosts, leases and slots.

    Hosts signal `host_up`; machines `reserve`, `withdraw`, `park` and `release`; builds `reserve_build` and
    `release_build`.
    """

    @workflow.init
    def __init__(self, start: FleetInput) -> None:
        # A new fleet's tokens begin at the clock (milliseconds), so that they are above those of one that
        # somebody terminated: a token that was given is never given again.
        self._state = start.state or FleetState(token=int(workflow.now().timestamp() * 1000))
        self._holds: dict[str, asyncio.Task[None]] = {}
        self._due: list[Answer | BuildAnswer] = []
        self._changed = True
        self._shown: FleetView | None = None

    @workflow.run
    async def run(self, start: FleetInput) -> None:
        """Serve for ever."""
        workflow.upsert_search_attributes([policies.JOB_KIND.value_set("fleet")])  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
        # Holds end with the run that began them.
        for host in start.state.hosts if start.state else ():
            if host.up:
                self._hold(host.capacity)
        while True:
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._changed or self._is_long(), timeout=self._until_check())
            await self._serve()
            if self._is_long() and not self._changed and workflow.all_handlers_finished():
                memo = {FLEET_MEMO: self._shown} if self._shown else None
                workflow.continue_as_new(FleetInput(state=self._state), memo=memo)

    @workflow.signal
    def host_up(self, capacity: HostCapacity) -> None:
        """A host is there, or there again; it is asked to hold its lease anew."""
        self._change(rules.host_up(self._state, capacity))
        self._hold(capacity)

    @workflow.signal
    def reserve(self, request: ReserveRequest) -> None:
        """Ask for room; answered by `placed`, `queued` or `refused`."""
        self._change(rules.reserve(self._state, request))

    @workflow.signal
    def withdraw(self, given: GiveBack) -> None:
        """Leave the queue."""
        self._change(rules.withdraw(self._state, given.vm_id))

    @workflow.signal
    def park(self, given: GiveBack) -> None:
        """Give back memory and processors."""
        self._change(rules.park(self._state, given))

    @workflow.signal
    def release(self, given: GiveBack) -> None:
        """Give back all."""
        self._change(rules.release(self._state, given))

    @workflow.signal
    def reserve_build(self, request: SlotRequest) -> None:
        """Ask for a build's turn; answered by `slot_granted`, `slot_queued`, `slot_refused` or `superseded`."""
        state, told = slots.reserve(self._state, request)
        if state is not self._state or told:  # each build in the queue asks again and again
            self._due += told
            self._change(state)

    @workflow.signal
    def release_build(self, end: SlotEnd) -> None:
        """Give back a build's slot, or leave the queue."""
        self._change(slots.release(self._state, end, workflow.now()))

    def _change(self, state: FleetState) -> None:
        self._state = state
        self._changed = True

    async def _serve(self) -> None:
        """Place who can be placed, and tell everybody what concerns them."""
        self._changed = False
        self._state, answers = rules.settle(self._state)
        self._state, builds = slots.settle(self._state, workflow.now())
        self._state, checks = slots.check(self._state, workflow.now())
        due, self._due = [*self._due, *answers, *builds, *checks], []
        self._show()
        await asyncio.gather(*(self._tell(answer) for answer in due))

    async def _tell(self, answer: Answer | BuildAnswer) -> None:
        try:
            handle = workflow.get_external_workflow_handle(answer.workflow_id)
            await handle.signal(_SIGNALS[type(answer.told)], answer.told)
        except FailureError as error:
            # A workflow that is over needs nothing; what it had goes to the next in the queue.
            workflow.logger.warning("%s is gone, its lease ends: %s", answer.workflow_id, error)
            if isinstance(answer, BuildAnswer):
                self.release_build(SlotEnd(build_id=answer.build_id))
            else:
                self.release(GiveBack(vm_id=answer.vm_id))

    def _until_check(self) -> timedelta | None:
        seconds = slots.seconds_to_check(self._state, workflow.now())
        return None if seconds is None else timedelta(seconds=seconds)

    def _hold(self, capacity: HostCapacity) -> None:
        earlier = self._holds.pop(capacity.host, None)
        if earlier is not None:
            earlier.cancel()
        self._holds[capacity.host] = asyncio.create_task(self._held(capacity))

    async def _held(self, capacity: HostCapacity) -> None:
        """Have the host hold its lease until it lets go or falls silent."""
        while await self._hold_once(capacity):
            pass
        if self._holds.get(capacity.host) is asyncio.current_task():
            state, told = rules.host_lost(self._state, capacity.host)
            self._due += told
            self._change(state)

    async def _hold_once(self, capacity: HostCapacity) -> bool:
        """Run the activity; true if it ended for no reason but its own length."""
        try:
            await workflow.execute_activity(
                "hold_host",
                rules.hold_of(self._state, capacity.host),
                result_type=HostLeft,
                task_queue=capacity.lease_queue or capacity.queue,
                schedule_to_start_timeout=policies.HOST_SILENCE,
                heartbeat_timeout=policies.HOST_SILENCE,
                start_to_close_timeout=policies.HOLD_LIMIT,
                retry_policy=policies.ONCE,
                cancellation_type=ActivityCancellationType.TRY_CANCEL,
                summary=f"{capacity.host} is up",
            )
        except ActivityError as error:
            cause = error.cause
            return isinstance(cause, ActivityTimedOut) and cause.type == TimeoutType.START_TO_CLOSE
        return False

    def _is_long(self) -> bool:
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > policies.LONGEST_HISTORY

    def _show(self) -> None:
        """Show in the memo, and on Temporal's page, what anybody may want to know. Nobody is to query the fleet."""
        workflow.set_current_details(fleet_page(self._state))
        if not workflow.patched("fleet-memo"):
            return
        waiting = slots.places(self._state, workflow.now())
        view = rules.overview(self._state).model_copy(update={"places": waiting})
        if view != self._shown:
            workflow.upsert_memo({FLEET_MEMO: view})
            self._shown = view
