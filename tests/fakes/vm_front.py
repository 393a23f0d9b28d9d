"""Machines in memory as the front meets them: each command is decided and folded at once, unless `lagging`."""

from datetime import UTC, datetime, timedelta

from activities.machines.vm_models import CommandDone, Screenshot
from domain.errors import Fault, Problem, Verdict
from domain.plan import Usage, needs
from domain.vm import commands as c
from domain.vm import orders as o
from domain.vm.decide import decide
from domain.vm.inputs import VmRequest
from domain.vm.state import VmState, VmStatus, evolve
from event_store.models.vms import VmStatePage
from tests.fakes.objects import FakeObjectStore
from tests.fakes.pages import place_of
from workflows.fleet_models import FleetView
from workflows.vm_models import VmInput

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\nscreen"


class FakeVmReads:
    """The machines of one organization."""

    def __init__(self, vms: dict[str, VmState], org_id: str) -> None:
        self._vms = vms
        self._org_id = org_id

    def _mine(self) -> list[VmState]:
        mine = [state for state in self._vms.values() if state.org_id == self._org_id]
        return sorted(mine, key=lambda state: (state.requested_at, state.vm_id), reverse=True)

    async def get(self, vm_id: str) -> VmState | None:
        return next((state for state in self._mine() if state.vm_id == vm_id), None)

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        status: VmStatus | None = None,
        name: str | None = None,
        deleted: bool = False,
    ) -> VmStatePage:
        fitting = [
            state
            for state in self._mine()
            if status in (None, state.status)
            and name in (None, state.spec.name)
            and (deleted or status is not None or state.status != "deleted")
        ]
        start = place_of(cursor)
        more = str(start + limit) if len(fitting) > start + limit else None
        return VmStatePage(vms=tuple(fitting[start : start + limit]), next_cursor=more)

    async def made_of(self, source_id: str, *, limit: int) -> tuple[str, ...]:
        live = [state for state in self._mine() if state.status != "deleted"]
        return tuple(state.spec.name for state in live if state.spec.image.source_id == source_id)[:limit]

    async def usage(self) -> Usage:
        live = [needs(state.spec) for state in self._mine() if state.status != "deleted"]
        return Usage(
            vms=len(live),
            memory=sum(n.memory for n in live),
            cpus=sum(n.cpus for n in live),
            disk=sum(n.disk for n in live),
        )


class FakeMachines:
    """The workflows of machines. What is asked of a guest is answered from `answer` and `PNG`."""

    def __init__(self, vms: dict[str, VmState], objects: FakeObjectStore) -> None:
        self.vms = vms
        self.requests: dict[str, VmRequest] = {}
        self.orders: list[tuple[str, o.QueuedOrder | o.ExtendVm | o.DeleteVm]] = []
        self.ran: list[o.RunCommand] = []
        self.touched: list[str] = []
        self.queue: tuple[str, ...] = ()
        self.answer = CommandDone(status=0, stdout="", stderr="")
        self.console = ""
        self.lagging = False
        self.away = False
        self.full = False
        self._objects = objects

    def tell(self, vm_id: str, *commands: c.VmCommand) -> VmState:
        """Have that happen to a machine."""
        for command in commands:
            for event in decide(self.vms.get(vm_id), command, now=NOW):
                self.vms[vm_id] = evolve(self.vms.get(vm_id), event)
        return self.vms[vm_id]

    async def create(self, start: VmInput) -> int:
        self._ping()
        request = start.request
        if self.full:
            raise Verdict(Problem(code="vm.quota", message="too many machines"))
        self.requests.setdefault(request.vm_id, request)
        if not self.lagging:
            self.tell(request.vm_id, c.RequestVm(request=request))
        return 1

    async def vm_known(self, vm_id: str, org_id: str) -> str | None:
        self._ping()
        request = self.requests.get(vm_id)
        return request.input_digest if request is not None and request.org_id == org_id else None

    async def command(self, vm_id: str, order: o.QueuedOrder | o.ExtendVm | o.DeleteVm) -> int:
        self._ping()
        snapshot_id = getattr(order, "snapshot_id", None)
        accept = c.AcceptOrder(
            command_id=order.command_id, command=order.kind, requested_by=order.requested_by, snapshot_id=snapshot_id
        )
        state = self.vms[vm_id]
        version = state.version + len(decide(state, accept, now=NOW))
        self.orders.append((vm_id, order))
        if not self.lagging:
            self.tell(vm_id, accept)
        return version

    async def run_command(self, vm_id: str, order: o.RunCommand) -> CommandDone:
        self._ping()
        self._running(vm_id)
        self.ran.append(order)
        return self.answer

    async def screenshot(self, vm_id: str, order: o.TakeScreenshot) -> Screenshot:
        self._ping()
        self._running(vm_id)
        key = f"screens/{vm_id}/1.png"
        await self._objects.put(key, PNG, "image/png")
        return Screenshot(key=key, bytes=len(PNG), width=720, height=400, text=self.console)

    async def touch(self, vm_id: str) -> None:
        self._ping()
        self.touched.append(vm_id)

    async def fleet(self) -> FleetView:
        self._ping()
        return FleetView(hosts=(), waiting=self.queue)

    def have(self, request: VmRequest, *, running: bool = True, ready: bool = True) -> VmState:
        """Have a machine."""
        self.requests[request.vm_id] = request
        vm_id = request.vm_id
        self.tell(vm_id, c.RequestVm(request=request))
        if running:
            self.tell(
                vm_id,
                c.RecordPlaced(host="one", queue="host:one", token=7, relay="http://one:1"),
                c.RecordCreated(token=7, accelerator="tcg", fetched=True, disk_bytes=200),
                c.RecordStarted(token=7, boot=1, seconds=0.4),
            )
        if running and ready:
            self.tell(vm_id, c.RecordReady(token=7, boot=1, via="agent", seconds=21.0, addresses=("10.0.0.5",)))
        return self.vms[vm_id]

    def _running(self, vm_id: str) -> None:
        state = self.vms[vm_id]
        if state.status != "running":
            raise Verdict.because("vm.wrong_state", f"the machine is {state.status}")

    def _ping(self) -> None:
        if self.away:
            raise Fault.because("temporal.unavailable", "the workflow engine at 10.9.8.7 does not answer")


def later(minutes: float) -> datetime:
    """A time after now."""
    return NOW + timedelta(minutes=minutes)
