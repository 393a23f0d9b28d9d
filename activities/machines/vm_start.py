"""Powering a VM on: QEMU is started halted, its serial port is read, then the guest may run."""

import time

from activities.machines.domain_xml import Nic, domain_xml
from activities.machines.host_limits import require_disk, require_memory
from activities.machines.vm_disks import VmDisks
from activities.machines.vm_folder import VmFolder, VmRecord, user_mac
from activities.machines.vm_models import StartVm, VmStarted
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.vm_ref import VmRef
from domain.errors import FactoryError, Fault
from domain.vm.spec import PortForward

_LEAST_DISK = 64


class VmStart:
    """Starts VMs. A worker that is killed in between leaves a halted QEMU, which the next attempt lets run."""

    def __init__(self, premises: Premises, disks: VmDisks) -> None:
        self._premises = premises
        self._hypervisor = premises.hypervisor
        self._disks = disks

    async def start(self, request: StartVm) -> VmStarted:
        """Power on; a VM that runs already is left as it is."""
        began = time.monotonic()
        self._premises.leases.require_held()
        folder, record = self._premises.admit(request.vm)
        async with self._premises.turn(folder.name):
            record = await self._power_on(folder, record)
            await self.go(folder)
            forwards = await self.open_forwards(folder, record)
        seconds = round(time.monotonic() - began, 3)
        return VmStarted(seconds=seconds, boot=record.boot, forwards=forwards)

    async def define(self, vm: VmRef, folder: VmFolder, record: VmRecord) -> VmRecord:
        """Connect the VM's cards and define it unless it is defined like this; answers what is written down now.

        A definition is kept as it is where it can be: it names the type of machine that was the newest then,
        and a snapshot's memory fits no other.
        """
        nics = await self._plug(vm.org_id, folder, record)
        state = await self._hypervisor.vm(folder.name)
        if state is not None and (state.label is None or state.label.vm_id != vm.vm_id):
            raise Fault.because(
                "machine.name_taken", f"{folder.name} is another VM's on this host", next="Use another host."
            )
        if state is None or nics != record.nics:
            record = record.model_copy(update={"nics": nics})
            await self._hypervisor.define(domain_xml(self._disks.spec(folder, record, vm.token)))
        return record

    async def halted(self, folder: VmFolder, record: VmRecord) -> VmRecord:
        """Start QEMU, halted, for a VM that is off, and read its serial port.

        Raises:
            Fault: `host.memory`, `host.disk`, `hypervisor.…`.

        """
        require_memory(record.spec.memory)
        require_disk(folder.path, _LEAST_DISK, "the VM")
        folder.make()
        lease = folder.lease
        vm = VmRef(vm_id=record.vm_id, org_id=record.org_id, token=lease.token if lease else 0)
        record = folder.write((await self.define(vm, folder, record)).model_copy(update={"started": time.time()}))
        try:
            await self._hypervisor.power_on(folder.name)
            await self._listen(folder, fresh=True)
        except FactoryError:
            folder.write(record.model_copy(update={"wanted": "stopped"}))
            raise
        return record

    async def go(self, folder: VmFolder) -> None:
        """Let the guest run, unless the host has lost its own lease meanwhile.

        Raises:
            Fault: `host.fenced`.

        """
        state = await self._hypervisor.vm(folder.name)
        if state is not None and state.is_paused:
            await self._hypervisor.resume(folder.name)
        if self._premises.leases.lapsed:
            await self._hypervisor.power_off(folder.name)
            self._premises.leases.require_held()

    async def adopt(self, folder: VmFolder) -> None:
        """Go on with a VM that runs: read its serial port.

        Raises:
            Fault: `hypervisor.failed`.

        """
        await self._listen(folder, fresh=False)

    async def open_forwards(self, folder: VmFolder, record: VmRecord) -> tuple[PortForward, ...]:
        """Open what the VM asks for; answers all that is open.

        Raises:
            Verdict: `forward.port_taken`.
            Fault: `forward.failed`.

        """
        if self._premises.forwards is None:
            return ()
        for forward in record.spec.forwards:
            await self._premises.forwards.open(folder.name, forward)
        return self._premises.forwards.opened(folder.name)

    async def _power_on(self, folder: VmFolder, record: VmRecord) -> VmRecord:
        state = await self._hypervisor.vm(folder.name)
        power = read_power(state, record).power
        if power in ("running", "paused"):
            await self._listen(folder, fresh=False)
            if record.wanted != "running":
                record = folder.write(record.model_copy(update={"wanted": "running"}))
            return record
        if power == "panicked":
            await self._hypervisor.power_off(folder.name)
        wanted = record.model_copy(update={"wanted": "running", "boot": record.boot + 1})
        return await self.halted(folder, wanted)

    async def _listen(self, folder: VmFolder, *, fresh: bool) -> None:
        try:
            await self._premises.serial.open(folder, fresh=fresh)
        except OSError as error:
            raise Fault.because(
                "hypervisor.failed", f"the serial port of {folder.name} cannot be reached: {error}"
            ) from error

    async def _plug(self, org_id: str, folder: VmFolder, record: VmRecord) -> tuple[Nic, ...]:
        if self._premises.networks is None:
            return (Nic(mac=user_mac(record.vm_id)),)
        spec = record.spec
        cabling = await self._premises.networks.plug(folder.name, org_id, spec.networks, egress=spec.egress)
        return tuple(Nic(bridge=card.bridge, mac=card.mac) for card in cabling.cards)
