"""The VMs of this host on libvirt (`vm_ports.VmHost`), and what the host does for them unasked."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from activities.machines.accelerator import AcceleratorProbe
from activities.machines.boot import BootLimits
from activities.machines.ports import Guest
from activities.machines.serial_port import SerialTap
from activities.machines.vm_disks import VmDisks
from activities.machines.vm_folder import VmFolder, VmRecord, folders
from activities.machines.vm_guests import VmGuests
from activities.machines.vm_hypervisor import VmHypervisor
from activities.machines.vm_images import BaseImages
from activities.machines.vm_life import VmLife
from activities.machines.vm_models import (
    AgentReady,
    AwaitAgent,
    CommandDone,
    CreateVm,
    DeleteVm,
    DropSnapshot,
    ForwardOpened,
    HoldHost,
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
    VmSeen,
    VmStarted,
    VmStopped,
)
from activities.machines.vm_ports import Forwards, Networks, Observer, Ssh
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.machines.vm_ready import VmReady
from activities.machines.vm_snapshots import VmSnapshots
from activities.machines.vm_start import VmStart
from activities.machines.vm_watch import VmWatch
from activities.vm_ref import VmRef
from domain.errors import FactoryError, Verdict
from infra import fence
from infra.libvirt_client import LibvirtClient, silence
from infra.libvirt_paths import LibvirtPaths
from infra.ports import ObjectStore
from infra.settings import Settings

_log = logging.getLogger(__name__)


class LibvirtVms:
    """VMs under the private libvirtd of the home. Nothing is connected before the first use.

    The state is libvirt's and the files'; only serial ports and forwards are this process's, and `adopt`
    takes them up again for a worker that follows a killed one.
    """

    def __init__(
        self,
        settings: Settings,
        objects: ObjectStore,
        *,
        networks: Networks | None = None,
        forwards: Forwards | None = None,
        ssh: Ssh | None = None,
        limits: BootLimits | None = None,
    ) -> None:
        silence()
        self._paths = LibvirtPaths(home=settings.home)
        self._uri = settings.libvirt_uri or self._paths.uri
        self._client = LibvirtClient(self._uri)
        hypervisor = VmHypervisor(self._client)
        self._premises = Premises(self._paths, hypervisor, networks, forwards, ssh)
        self._images = BaseImages(self._paths, objects)
        cache = settings.home / "cache" / "accelerator.json"
        probe = AcceleratorProbe(settings.accelerator, cache, self._paths, hypervisor)
        disks = VmDisks(self._paths, self._images)
        self._start = VmStart(self._premises, disks)
        self._life = VmLife(self._premises, self._images, disks, self._start, probe)
        self._snapshots = VmSnapshots(self._premises, disks, self._start)
        self._ready = VmReady(self._premises, limits or BootLimits())
        self._guests = VmGuests(self._premises, objects)

    async def create(self, request: CreateVm) -> VmCreated:
        """Make disk and definition."""
        return await self._life.create(request)

    async def start(self, request: StartVm) -> VmStarted:
        """Power on."""
        return await self._start.start(request)

    async def await_agent(self, request: AwaitAgent) -> AgentReady:
        """Wait until the guest answers."""
        return await self._ready.wait(request)

    async def stop(self, request: StopVm) -> VmStopped:
        """Power off."""
        return await self._life.stop(request)

    async def delete(self, request: DeleteVm) -> VmDeleted:
        """Remove everything."""
        return await self._life.delete(request)

    async def take_snapshot(self, request: TakeSnapshot) -> SnapshotTaken:
        """Keep disk and memory."""
        return await self._snapshots.take(request)

    async def restore_snapshot(self, request: RestoreSnapshot) -> SnapshotRestored:
        """Go back."""
        return await self._snapshots.restore(request)

    async def drop_snapshot(self, request: DropSnapshot) -> None:
        """Remove a snapshot."""
        await self._snapshots.drop(request)

    async def inspect(self, request: InspectVm) -> VmSeen:
        """Tell how the VM is."""
        folder = self._premises.folder(request.vm.vm_id)
        self._premises.leases.admit(request.vm, folder)
        seen = read_power(await self._premises.hypervisor.vm(folder.name), folder.record)
        return seen.model_copy(update={"seen_at": datetime.now(UTC)})

    async def screenshot(self, request: TakeScreenshot) -> Screenshot:
        """Photograph the screen."""
        return await self._guests.photograph(request)

    async def run_command(self, request: RunCommand) -> CommandDone:
        """Run a program in the guest."""
        return await self._guests.run(request)

    async def open_forward(self, request: OpenForward) -> ForwardOpened:
        """Forward a port of a running VM."""
        folder, record = self._premises.admit(request.vm)
        async with self._premises.turn(folder.name):
            seen = read_power(await self._premises.hypervisor.vm(folder.name), record)
            forwards = self._premises.forwards
            if seen.power != "running" or forwards is None:
                what = seen.reason or f"the VM is {seen.power}"
                raise Verdict.because("vm.wrong_state", what, value=seen.power, next="Start the VM.")
            opened = await forwards.open(folder.name, request.forward)
        return ForwardOpened(forward=opened)

    async def vm_guest(self, vm: VmRef) -> Guest:
        """Reach a running VM's guest, by its agent or by SSH; for whoever checks it.

        Raises:
            Verdict: `vm.wrong_state`, `guest.unreachable`, `lease.superseded`.
            Fault: `machine.lost`.

        """
        guest, _ = await self._guests.reach(vm)
        return guest

    def screen(self, vm_id: str) -> Path:
        """Where the VM's VNC socket is, whether it is there or not."""
        return self._premises.folder(vm_id).sockets / "v"

    def attach(self, vm_id: str, listener: Callable[[bytes], None]) -> SerialTap | None:
        """Look at and write to a VM's serial port (`serial_port.SerialPort.attach`); nothing if it is not open."""
        return self._premises.serial.attach(vm_id, listener)

    async def adopt(self) -> int:
        """Go on with the VMs that run, after a start of the worker; answers how many there are."""
        self._images.clear_partial()
        active = {state.name for state in await self._premises.hypervisor.vms() if state.is_active}
        running = [folder for folder in folders(self._paths) if folder.name in active]
        for folder in running:
            try:
                await self._start.adopt(folder)
            except FactoryError as error:
                _log.warning("could not take up %s again: %s", folder.name, error)
        if self._premises.forwards is not None:
            await self._premises.forwards.restore(active)
        return len(running)

    def watch(self, observer: Observer) -> VmWatch:
        """Make the watcher of what VMs do unasked."""
        return VmWatch(self._premises, self._uri, observer)

    async def obey(self, hold: HoldHost) -> int:
        """Begin to hold the host's lease: remove what was given up meanwhile; answers how many VMs that were."""
        self._premises.leases.require(hold.vms)
        held = {vm.vm_id for vm in hold.vms}

        def given_up(folder: VmFolder) -> bool:
            lease = folder.lease
            return lease is None or (lease.vm_id not in held and lease.token <= hold.floor)

        return await self._remove_all(folders(self._paths), given_up)

    async def sweep(self) -> int:
        """Remove folders without domain and lease, and domains without folder; answers how many there were."""
        defined = {state.name for state in await self._premises.hypervisor.vms()}
        known = folders(self._paths)
        bare = [folder for folder in known if folder.name not in defined]
        alone = [VmFolder(self._paths, name) for name in defined - {folder.name for folder in known}]
        removed = await self._remove_all(bare, lambda folder: folder.lease is None)
        return removed + await self._remove_all(alone, lambda folder: not folder.path.exists())

    async def fence(self) -> int:
        """End all VMs at once because the host's lease has lapsed; answers how many ran."""
        ended = 0
        for state in await self._premises.hypervisor.vms():
            if state.is_active:
                await self._premises.hypervisor.power_off(state.name)
                ended += 1
        return ended

    def hold_until(self, moment: float) -> None:
        """The host's lease holds until then (`time.monotonic`): after it nothing is started any more."""
        self._premises.leases.hold_until(moment)
        fence.tell(self._paths.root / "run", moment)

    async def running(self) -> tuple[VmRecord, ...]:
        """What is known of the VMs that run here."""
        active = {state.name for state in await self._premises.hypervisor.vms() if state.is_active}
        known = [folder.record for folder in folders(self._paths) if folder.name in active]
        return tuple(record for record in known if record is not None)

    def images_in_use(self) -> frozenset[str]:
        """The digests of the images that VMs of this host are made of, running or not."""
        known = (folder.record for folder in folders(self._paths))
        return frozenset(record.spec.image.digest for record in known if record is not None)

    async def _remove_all(self, found: Iterable[VmFolder], stray: Callable[[VmFolder], bool]) -> int:
        removed = 0
        for folder in found:
            if stray(folder):
                removed += await self._life.remove_if(folder, stray)
        return removed

    async def close(self) -> None:
        """Let go of libvirt and the serial ports; the VMs go on."""
        await self._premises.serial.close_all()
        with suppress(FactoryError):
            await self._client.close()
