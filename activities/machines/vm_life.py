"""How a VM comes to be on a host, is switched off, and goes without a trace."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from activities.machines.accelerator import AcceleratorProbe
from activities.machines.vm_disks import VmDisks
from activities.machines.vm_folder import VmFolder, VmRecord
from activities.machines.vm_hypervisor import settled
from activities.machines.vm_images import BaseImages
from activities.machines.vm_models import CreateVm, DeleteVm, StopVm, VmCreated, VmDeleted, VmStopped
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.machines.vm_start import VmStart
from domain.errors import FactoryError, Fault
from domain.vm.spec import ImageRef

_POLL_SECONDS = 0.3
_ASK_AGAIN_SECONDS = 5.0


class VmLife:
    """Makes, stops and removes VMs."""

    def __init__(
        self, premises: Premises, images: BaseImages, disks: VmDisks, start: VmStart, probe: AcceleratorProbe
    ) -> None:
        self._premises = premises
        self._hypervisor = premises.hypervisor
        self._images = images
        self._disks = disks
        self._start = start
        self._probe = probe

    async def create(self, request: CreateVm) -> VmCreated:
        """Make disk and definition; a VM that is there already is adopted. What fails leaves nothing."""
        folder = self._premises.folder(request.vm.vm_id)
        async with self._premises.turn(folder.name):
            self._premises.leases.admit(request.vm, folder, makes=True)
            known = folder.record
            try:
                fetched = await self._images.ensure(request.spec.image)
                folder.make()
                self._premises.leases.admit(request.vm, folder)  # which remembers the token now that there is a place
                record = known or await self._new(folder, request)
                record = folder.write(await self._start.define(request.vm, folder, record))
            except BaseException as error:
                if known is None and not _is_another(error):
                    with suppress(FactoryError):
                        await asyncio.shield(self._remove(folder))
                raise
        return VmCreated(accelerator=record.accelerator, fetched=fetched, disk_bytes=record.disk_bytes)

    async def stop(self, request: StopVm) -> VmStopped:
        """Power off: ask the guest and wait, then pull the plug."""
        folder, record = self._premises.admit(request.vm)
        async with self._premises.turn(folder.name):
            power = read_power(await self._hypervisor.vm(folder.name), record).power
            how = "already"
            async with self._premises.ending(folder, record):
                if power in ("running", "paused", "panicked"):
                    kind = power == "running" and request.grace > 0 and await self._ask_to_end(folder, request.grace)
                    how = "graceful" if kind else "forced"
                    await self._hypervisor.power_off(folder.name)
            await self._quiet(folder, forget=False)
        return VmStopped.model_validate({"how": how})

    async def delete(self, request: DeleteVm) -> VmDeleted:
        """Remove the VM and all that belongs to it, whatever its state."""
        folder = self._premises.folder(request.vm.vm_id)
        async with self._premises.turn(folder.name):
            self._premises.leases.admit(request.vm, folder)
            removed = await self._remove(folder)
            self._premises.leases.deleted(request.vm)
        self._premises.forget(folder.name)
        return VmDeleted(removed=removed)

    async def remove_if(self, folder: VmFolder, stray: Callable[[VmFolder], bool]) -> bool:
        """Remove what is left of a VM if, when it is its turn, it is still `stray`."""
        async with self._premises.turn(folder.name):
            found = stray(folder)
            if found:
                await self._remove(folder)
        self._premises.forget(folder.name)
        return found

    async def _new(self, folder: VmFolder, request: CreateVm) -> VmRecord:
        image = request.spec.image
        how = await self._probe.decide(self._proof(image))
        ssh = self._premises.ssh
        record = VmRecord(
            vm_id=request.vm.vm_id,
            org_id=request.vm.org_id,
            spec=request.spec,
            accelerator=how.kind,
            strings=await ssh.prepare(folder.path, request.spec) if ssh is not None else (),
        )
        return record.model_copy(update={"disk_bytes": await self._disks.make(folder, record)})

    def _proof(self, image: ImageRef) -> Path | None:
        """An image whose kernel can prove KVM: only a build's live system is known to have one."""
        is_ours = image.format == "iso" and image.source == "build"
        return self._premises.paths.blob(image.digest) if is_ours else None

    async def _ask_to_end(self, folder: VmFolder, grace: float) -> bool:
        """Ask the guest again and again to switch itself off; answers whether it did."""
        deadline, asked = time.monotonic() + grace, 0.0
        while True:
            state = await self._hypervisor.vm(folder.name)
            if state is None or not state.is_active:
                return True
            now = time.monotonic()
            if now >= deadline:
                return False
            if now - asked >= _ASK_AGAIN_SECONDS:
                asked = now
                # A guest that is only just booting hears neither; so both are tried, and tried again.
                agent = await self._hypervisor.agent_listens(folder.name)
                await self._hypervisor.press_power(folder.name, ask_agent=agent)
                if agent:
                    await self._hypervisor.press_power(folder.name, ask_agent=False)
            await asyncio.sleep(_POLL_SECONDS)

    async def _quiet(self, folder: VmFolder, *, forget: bool) -> int:
        """Let go of what a running VM has beside its QEMU; answers how much there was."""
        removed, premises = 0, self._premises
        await premises.serial.close(folder.name)
        removed += await premises.close_forwards(folder.name)
        if premises.networks is not None:
            removed += await premises.networks.unplug(folder.name, forget=forget)
        return removed

    async def _remove(self, folder: VmFolder) -> int:
        """Remove domain, links, ports and files; the lease last, which says that there is something to remove."""
        removed = int(await settled(self._hypervisor.remove(folder.name)))
        removed += await self._quiet(folder, forget=True)
        return removed + await asyncio.to_thread(folder.remove)


def _is_another(error: BaseException) -> bool:
    """Whether the name belongs to another VM, whose files these are then."""
    return isinstance(error, Fault) and error.code == "machine.name_taken"
