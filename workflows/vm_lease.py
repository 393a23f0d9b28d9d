"""A machine's side of its lease: asking the fleet, waiting, giving back."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from workflows import policies
from workflows.fleet_signals import tell_fleet
from workflows.vm_self import VmSelf

with workflow.unsafe.imports_passed_through():
    from activities.failures import FailureDetail
    from domain.errors import Problem
    from domain.plan import needs
    from domain.vm.commands import RecordPlaced, RecordWaiting
    from workflows.fleet_models import GiveBack, Lease, Queued, Refusal, ReserveRequest


class NoRoom(Exception):
    """There is no room and there will be none, or not in time."""

    def __init__(self, detail: FailureDetail) -> None:
        self.detail = detail
        super().__init__(detail.problems[0].message)


class VmLease:
    """Asks and waits. The signals of the fleet come in through `placed`, `refused` and `queued`."""

    def __init__(self, vm: VmSelf) -> None:
        self._vm = vm
        self._asking = False
        self._abandoned = False
        self._news: list[Lease | Refusal | Queued] = []
        self._lost_token = 0

    @property
    def late(self) -> bool:
        """Whether something was granted that nobody waits for any more."""
        return not self._asking and any(isinstance(news, Lease) for news in self._news)

    def hear(self, news: Lease | Refusal | Queued) -> None:
        """Take what the fleet says."""
        self._news.append(news)

    def hear_lost(self, token: int) -> None:
        """Take no room of this token: its host was lost before it came to use."""
        self._lost_token = max(self._lost_token, token)

    async def get(self, *, patience: timedelta | None = None) -> None:
        """Have room for the machine to run, on its own host if its disk is there.

        Raises:
            NoRoom: the fleet refuses, or `patience` is over.

        """
        life = self._vm.life
        if life.lease is not None and not life.parked:
            return
        bound = life.lease.host if life.lease is not None and life.created else None
        self._news.clear()
        self._asking, self._abandoned = True, False
        try:
            lease = await self._answered(bound, patience)
        finally:
            self._asking = False
        fact = RecordPlaced(host=lease.host, queue=lease.queue, token=lease.token, relay=lease.relay)
        status = "starting" if life.status == "pending" else life.status
        await self._vm.record(
            fact, f"placed on {lease.host}", lease=lease, parked=False, host_gone=False, status=status
        )

    def abandon(self) -> None:
        """Wait no longer. A cancellation alone may be lost: a fact that is just being recorded is waited for."""
        self._abandoned = True

    async def park(self) -> None:
        """Keep the disk and give back the rest: the machine is off."""
        if self._vm.life.lease is None or self._vm.life.parked:
            return
        await tell_fleet("park", self._give_back())
        self._vm.change(parked=True)

    async def end(self) -> None:
        """Give back everything, also a place in the queue and what may just have been granted."""
        await tell_fleet("release", self._give_back())
        self._vm.change(lease=None, parked=False, created=False)

    async def adopt_late(self) -> None:
        """Deal with room that came when the machine no longer waited for it: the newer token counts."""
        late = [news for news in self._news if isinstance(news, Lease)][-1]
        self._news.clear()
        life = self._vm.life
        if not life.created:
            await self.end()
            return
        fact = RecordPlaced(host=late.host, queue=late.queue, token=late.token, relay=late.relay)
        await self._vm.record(fact, lease=late, parked=False)
        if life.status != "running":
            await self.park()

    def _give_back(self) -> GiveBack:
        # Of one workflow one signal is sent after the other, so whatever the fleet holds is what is meant.
        return GiveBack(vm_id=self._vm.request.vm_id)

    async def _answered(self, bound: str | None, patience: timedelta | None) -> Lease:
        deadline = None if patience is None else workflow.now() + patience
        while True:
            await tell_fleet("reserve", self._request(bound))
            until = workflow.now() + policies.FLEET_PATIENCE
            until = until if deadline is None else min(until, deadline)
            found = await self._listen(until)
            if isinstance(found, Lease):
                if found.token > self._lost_token:
                    return found
                continue
            if found is not None:
                raise NoRoom(FailureDetail(kind=found.cause, problems=found.problems))
            if deadline is not None and workflow.now() >= deadline:
                await tell_fleet("withdraw", self._give_back())
                raise NoRoom(_no_room_in_time(bound))

    async def _listen(self, until: datetime) -> Lease | Refusal | None:
        """Wait for the fleet's word; nothing if it does not come in time."""
        while True:
            left = until - workflow.now()
            if left <= timedelta(0):
                return None
            try:
                await workflow.wait_condition(
                    lambda: bool(self._news) or self._abandoned,
                    timeout=left,
                    timeout_summary="Waiting for room on a host",
                )
            except TimeoutError:
                return None
            if self._abandoned:
                raise asyncio.CancelledError
            news = self._news.pop(0)
            if not isinstance(news, Queued):
                return news
            reason = f"Waiting for room: {news.reason}"
            await self._vm.record(RecordWaiting(position=news.position, reason=reason), reason)

    def _request(self, bound: str | None) -> ReserveRequest:
        request = self._vm.request
        needed = needs(request.spec)
        return ReserveRequest(
            vm_id=request.vm_id,
            workflow_id=workflow.info().workflow_id,
            memory=needed.memory,
            cpus=needed.cpus,
            disk=needed.disk,
            host=bound,
            networks=tuple(f"{request.org_id}/{n.scope}/{n.name}" for n in request.spec.networks),
        )


def _no_room_in_time(bound: str | None) -> FailureDetail:
    where = f"The host {bound}, which has the machine's disk," if bound else "No host"
    problem = Problem(
        code="host.memory",
        message=f"{where} had no room in {policies.START_PATIENCE.total_seconds() / 60:.0f} minutes.",
        retryable=True,
        next="Stop or delete machines that are not needed, then try again.",
    )
    return FailureDetail(kind="fault", problems=(problem,))
