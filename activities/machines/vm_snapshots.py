"""Snapshots of VMs: with memory while QEMU is there, of the disk alone while it is off."""

import asyncio
import re
import time
from contextlib import suppress

from activities.machines.host_limits import require_disk, require_memory
from activities.machines.vm_disks import VmDisks
from activities.machines.vm_folder import SnapshotRecord, VmFolder, VmRecord
from activities.machines.vm_hypervisor import settled
from activities.machines.vm_memory import VmMemory
from activities.machines.vm_models import (
    DropSnapshot,
    RestoreSnapshot,
    SnapshotRestored,
    SnapshotTaken,
    TakeSnapshot,
)
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.machines.vm_start import VmStart
from domain.errors import FactoryError, Verdict
from domain.vm.spec import PortForward

_ID = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,63}")


class VmSnapshots:
    """Takes, restores and drops. A snapshot counts once its record is written, which comes last."""

    def __init__(self, premises: Premises, disks: VmDisks, start: VmStart) -> None:
        self._premises = premises
        self._hypervisor = premises.hypervisor
        self._disks = disks
        self._memory = VmMemory(premises.hypervisor)
        self._start = start

    async def take(self, request: TakeSnapshot) -> SnapshotTaken:
        """Keep disk and, while it runs, memory; one that is there already is adopted."""
        snapshot_id = _checked(request.snapshot_id)
        folder, record = self._premises.admit(request.vm)
        async with self._premises.turn(folder.name):
            known = folder.snapshot(snapshot_id)
            if known is None:
                known = await self._take(folder, record, snapshot_id)
                folder.write_snapshot(snapshot_id, known)
        return SnapshotTaken.model_validate(known.model_dump())

    async def restore(self, request: RestoreSnapshot) -> SnapshotRestored:
        """Go back. QEMU is started anew for it, whatever became of the one that runs."""
        snapshot_id, began = _checked(request.snapshot_id), time.monotonic()
        folder, record = self._premises.admit(request.vm)
        async with self._premises.turn(folder.name):
            known = folder.snapshot(snapshot_id)
            if known is None:
                raise Verdict.because(
                    "vm.snapshot_not_found",
                    f"the VM has no snapshot {snapshot_id}",
                    value=snapshot_id,
                    next="list_snapshots",
                )
            forwards: tuple[PortForward, ...] = ()
            if known.memory:
                forwards = await self._restore_running(folder, record, snapshot_id)
            else:
                async with self._premises.ending(folder, record):
                    await self._hypervisor.power_off(folder.name)
                await self._premises.close_forwards(folder.name)
                await settled(self._disks.bring_back(folder, snapshot_id))
        seconds = round(time.monotonic() - began, 3)
        return SnapshotRestored(running=known.memory, seconds=seconds, forwards=forwards)

    async def drop(self, request: DropSnapshot) -> None:
        """Remove a snapshot, also one that was taken half."""
        snapshot_id = _checked(request.snapshot_id)
        folder, _ = self._premises.admit(request.vm)
        async with self._premises.turn(folder.name):
            await self._forget(folder, snapshot_id)

    async def _take(self, folder: VmFolder, record: VmRecord, snapshot_id: str) -> SnapshotRecord:
        began = time.monotonic()
        power = read_power(await self._hypervisor.vm(folder.name), record).power
        if power == "panicked" or (power != "running" and not folder.disk.exists()):
            raise Verdict.because(
                "vm.wrong_state",
                f"a VM that is {power} has nothing to keep",
                value=power,
                next="Start the VM, then take the snapshot.",
            )
        size = 0
        try:
            if power in ("running", "paused"):
                require_disk(folder.path, record.spec.memory, "the VM's memory")
                size = await self._memory.save(folder, snapshot_id)
            else:
                await settled(self._disks.keep(folder, snapshot_id))
        except BaseException:
            with suppress(FactoryError):  # the next attempt does it first
                await asyncio.shield(self._forget(folder, snapshot_id))
            raise
        seconds = round(time.monotonic() - began, 3)
        return SnapshotRecord(memory=power in ("running", "paused"), bytes=size, seconds=seconds)

    async def _restore_running(self, folder: VmFolder, record: VmRecord, snapshot_id: str) -> tuple[PortForward, ...]:
        await self._hypervisor.power_off(folder.name)
        require_memory(record.spec.memory)
        await self._start.halted(folder, record.model_copy(update={"wanted": "running"}))
        try:
            await self._memory.load(folder, snapshot_id)
            forwards = await self._start.open_forwards(folder, record)
        except BaseException:
            # A guest that is neither what it was nor what it should be is not let run.
            with suppress(FactoryError):
                await asyncio.shield(self._hypervisor.power_off(folder.name))
            raise
        await self._start.go(folder)
        return forwards

    async def _forget(self, folder: VmFolder, snapshot_id: str) -> None:
        state = await self._hypervisor.vm(folder.name)
        if state is not None and state.is_active:
            await self._memory.forget(folder, snapshot_id)
        else:
            await self._disks.forget(folder, snapshot_id)
        folder.forget_snapshot(snapshot_id)


def _checked(snapshot_id: str) -> str:
    """Make sure that an id can be a part of a file's name."""
    if _ID.fullmatch(snapshot_id) is None:
        raise Verdict.because("vm.snapshot_not_found", "there is no such snapshot", value=snapshot_id[:64])
    return snapshot_id
