"""What the service of machines needs of the rest of the factory, as protocols."""

from typing import Protocol

from domain.plan import Usage
from domain.vm import orders as o
from domain.vm.state import VmState, VmStatus
from event_store.models.vms import VmStatePage
from workflows.fleet_models import FleetView
from workflows.vm_models import CommandDone, Screenshot, VmInput


class VmReads(Protocol):
    """The machines of one organization."""

    async def get(self, vm_id: str) -> VmState | None:
        """Return a machine, or nothing if it is absent or another organization's."""
        ...

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        status: VmStatus | None = None,
        name: str | None = None,
        deleted: bool = False,
    ) -> VmStatePage:
        """List machines, newest first. Raises `Verdict` (`cursor.invalid`) for a cursor that is not ours."""
        ...

    async def made_of(self, source_id: str, *, limit: int) -> tuple[str, ...]:
        """Return the names of machines that are made of an image of this build or upload, at most so many."""
        ...

    async def usage(self) -> Usage:
        """Tell what the machines that are not deleted take."""
        ...


class Machines(Protocol):
    """The workflows of machines, and the fleet.

    Every method raises `Fault` when the workflow engine does not answer, and what a machine's workflow refuses.
    """

    async def create(self, start: VmInput) -> int:
        """Start a machine's workflow and answer the log's version once its request is recorded.

        Raises `Verdict`: `vm.quota`, `request_key.reused`, `vm.deleted`.
        """
        ...

    async def vm_known(self, vm_id: str, org_id: str) -> str | None:
        """Return the input digest of the organization's workflow of this machine, or nothing."""
        ...

    async def command(self, vm_id: str, order: o.QueuedOrder | o.ExtendVm | o.DeleteVm) -> int:
        """Have a command taken and answer the log's version that says so; a repeated id changes nothing."""
        ...

    async def run_command(self, vm_id: str, order: o.RunCommand) -> CommandDone:
        """Run a program in the guest and wait for it."""
        ...

    async def screenshot(self, vm_id: str, order: o.TakeScreenshot) -> Screenshot:
        """Photograph the machine's screen."""
        ...

    async def touch(self, vm_id: str) -> None:
        """Tell that somebody uses the machine."""
        ...

    async def fleet(self) -> FleetView:
        """Return hosts, room and queue."""
        ...
