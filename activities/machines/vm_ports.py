"""The life of VMs on a host, as the activity class needs it, and what that life needs of networks and guests."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Literal, Protocol

from activities.machines.ports import Guest
from activities.machines.vm_models import (
    AgentReady,
    AwaitAgent,
    CommandDone,
    CreateVm,
    DeleteVm,
    DropSnapshot,
    ForwardOpened,
    InspectVm,
    OpenForward,
    RestoreSnapshot,
    RunCommand,
    Screenshot,
    SnapshotRestored,
    SnapshotTaken,
    StartVm,
    StopVm,
    TakeScreenshot,
    TakeSnapshot,
    VmCreated,
    VmDeleted,
    VmObserved,
    VmSeen,
    VmStarted,
    VmStopped,
)
from activities.vm_ref import VmRef
from domain.vm.spec import Network, PortForward, VmSpec
from infra.netns.models import Cabling


class VmHost(Protocol):
    """The VMs of this host. Every method is harmless to repeat, and refuses a lease that is superseded.

    All raise `Verdict` (`lease.superseded`) and, but for `create`, `delete` and `inspect`, `Fault`
    (`machine.lost`) for a VM that is not here; and `Fault` (`hypervisor.…`) when libvirt fails. What is
    cancelled has settled before it answers: a VM is then as before or as asked.
    """

    async def create(self, request: CreateVm) -> VmCreated:
        """Make disk and definition, fetching the image if it is not on this host.

        What fails leaves nothing. Raises `Verdict` (`image.not_found`, `image.hostile`, `image.not_bootable`)
        and `Fault` (`host.disk`, `host.firmware`, `blob.corrupt`, `machine.name_taken`).
        """
        ...

    async def start(self, request: StartVm) -> VmStarted:
        """Power on; raises `Fault` (`host.memory`, `host.disk`, `host.fenced`)."""
        ...

    async def await_agent(self, request: AwaitAgent) -> AgentReady:
        """Wait until the guest answers; the VM runs on if it does not.

        Raises `Verdict` (`guest.not_ready`, `guest.panicked`, `guest.off`, `vm.wrong_state`) and `Fault`
        (`machine.lost`, `host.disk`, `host.overloaded`).
        """
        ...

    async def stop(self, request: StopVm) -> VmStopped:
        """Power off, kindly first."""
        ...

    async def delete(self, request: DeleteVm) -> VmDeleted:
        """Remove everything, also what an interrupted `create` left."""
        ...

    async def take_snapshot(self, request: TakeSnapshot) -> SnapshotTaken:
        """Keep disk and memory; raises `Verdict` (`vm.wrong_state`) and `Fault` (`host.disk`, `vm.snapshot_failed`)."""
        ...

    async def restore_snapshot(self, request: RestoreSnapshot) -> SnapshotRestored:
        """Go back; raises `Verdict` (`vm.snapshot_not_found`) and `Fault` (`host.memory`, `vm.snapshot_failed`)."""
        ...

    async def drop_snapshot(self, request: DropSnapshot) -> None:
        """Remove a snapshot."""
        ...

    async def inspect(self, request: InspectVm) -> VmSeen:
        """Tell how the VM is."""
        ...

    async def screenshot(self, request: TakeScreenshot) -> Screenshot:
        """Photograph the screen into the object store; raises `Verdict` (`vm.wrong_state`)."""
        ...

    async def run_command(self, request: RunCommand) -> CommandDone:
        """Run a program in the guest; raises what `Guest.run` raises, and `Verdict` (`guest.unreachable`)."""
        ...

    async def open_forward(self, request: OpenForward) -> ForwardOpened:
        """Forward a port; raises `Verdict` (`vm.wrong_state`) and what the host's forwards raise."""
        ...


class Networks(Protocol):
    """The networks of this host's machines, which are named as libvirt's domains are."""

    async def plug(self, machine: str, org_id: str, networks: Iterable[Network], *, egress: bool) -> Cabling:
        """Make a VM's links, before each of its starts; the cards stay the same until it is forgotten."""
        ...

    async def unplug(self, machine: str, *, forget: bool) -> int:
        """Remove the links of a VM that is off, for good if it is to be forgotten; answers 1 if there were any."""
        ...

    async def introduce(self, machine: str, guest: Guest, *, if_news: bool = False) -> object:
        """Tell a running guest who is on its networks; with `if_news` only what it was not told before."""
        ...


class Forwards(Protocol):
    """Ports of guests on this host's loopback."""

    async def open(self, machine: str, forward: PortForward) -> PortForward:
        """Open one, or adopt it if it is open; answers it with its host port."""
        ...

    def opened(self, machine: str) -> tuple[PortForward, ...]:
        """What is open."""
        ...

    async def close_all(self, machine: str) -> int:
        """Close all of a VM; answers how many there were."""
        ...

    async def restore(self, machines: Collection[str]) -> int:
        """Open again what an earlier worker had open for these; answers how many."""
        ...


class Ssh(Protocol):
    """The way into guests without an agent. `folder` is the VM's own on the host."""

    async def prepare(self, folder: Path, spec: VmSpec) -> tuple[str, ...]:
        """Make the VM's key if it is entered by SSH; answers the SMBIOS strings that tell the guest of it."""
        ...

    async def reach(self, name: str, folder: Path, spec: VmSpec) -> Guest | None:
        """Reach the guest if it answers now; nothing if it does not, or is not entered by SSH."""
        ...


Via = Literal["agent", "ssh"]
Observer = Callable[[VmRef, VmObserved], Awaitable[None]]
"""Is told what a VM did unasked. If it raises, it is told again."""
