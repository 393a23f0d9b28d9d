"""Snapshots of a running VM: its disk inside its qcow2, its memory in a file of its own.

libvirt refuses internal snapshots of machines with UEFI variables in a raw file (9.0), so QEMU is asked
itself, by its jobs `snapshot-save`, `-load` and `-delete`, which take the devices by name (QEMU 6.0 and later,
https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html). The variables are a part of the memory there, and
are written back when it is loaded. QEMU stops the guest while it saves and lets it go on by itself, so a
worker that dies meanwhile leaves a guest that runs.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from activities.machines.vm_disks import blank
from activities.machines.vm_folder import VmFolder, give
from activities.machines.vm_hypervisor import MonitorError, VmHypervisor, settled
from domain.errors import Fault
from infra.process import run

# QEMU answers nothing while it saves or loads, for as long as writing or reading the memory takes.
_SAVE_SECONDS = 1800.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_CREATE_SECONDS = 30.0


class VmMemory:
    """Snapshots of VMs that have a QEMU."""

    def __init__(self, hypervisor: VmHypervisor) -> None:
        self._hypervisor = hypervisor

    async def save(self, folder: VmFolder, snapshot_id: str) -> int:
        """Keep disk and memory, replacing what an interrupted attempt left; answers bytes of memory on the disk.

        Raises:
            Fault: `host.disk` or `vm.snapshot_failed`.

        """
        await self.forget(folder, snapshot_id)
        memory = folder.memory(snapshot_id)
        await run(blank(memory), timeout=_CREATE_SECONDS)
        give(memory)
        async with self._attached(folder, snapshot_id) as node:
            await self._job(folder, "snapshot-save", snapshot_id, node)
        return memory.stat().st_blocks * 512  # stat(2): st_blocks counts 512 bytes each

    async def load(self, folder: VmFolder, snapshot_id: str) -> None:
        """Bring disk and memory back into a QEMU that is halted; it stays so.

        Raises:
            Fault: `vm.snapshot_failed`.

        """
        async with self._attached(folder, snapshot_id) as node:
            await self._job(folder, "snapshot-load", snapshot_id, node)

    async def forget(self, folder: VmFolder, snapshot_id: str) -> None:
        """Remove a snapshot from the disk of a VM that has a QEMU; harmless to repeat.

        Raises:
            Fault: `vm.snapshot_failed`.

        """
        for kind in ("snapshot-save", "snapshot-load"):
            await self._settle(folder.name, _job_id(kind, snapshot_id))
        await self._detach(folder.name, _node(snapshot_id))
        if await self._disks(folder):
            await self._job(folder, "snapshot-delete", snapshot_id, None)

    @asynccontextmanager
    async def _attached(self, folder: VmFolder, snapshot_id: str) -> AsyncGenerator[str]:
        """Have QEMU open the memory's file, and close it again."""
        node = _node(snapshot_id)
        await self._detach(folder.name, node)
        file = {"driver": "file", "filename": str(folder.inner(folder.memory(snapshot_id)))}
        try:
            await self._hypervisor.monitor(folder.name, "blockdev-add", node_name=node, driver="qcow2", file=file)
        except MonitorError as error:
            raise _failed(folder.name, str(error)) from error
        try:
            yield node
        finally:
            with suppress(Fault):  # the next attempt does it first
                await self._detach(folder.name, node)

    async def _detach(self, name: str, node: str) -> None:
        with suppress(MonitorError):  # it is not there
            await self._hypervisor.monitor(name, "blockdev-del", node_name=node)

    async def _disks(self, folder: VmFolder) -> list[str]:
        """QEMU's names of the VM's own disk: none for one that runs from an ISO alone."""
        path = str(folder.inner(folder.disk))
        nodes: list[dict[str, Any]] = await self._hypervisor.monitor(folder.name, "query-named-block-nodes", flat=True)
        return [node["node-name"] for node in nodes if node["drv"] == "qcow2" and node["file"] == path]

    async def _job(self, folder: VmFolder, kind: str, snapshot_id: str, node: str | None) -> None:
        """Run one of QEMU's jobs to its end. A cancelled caller waits for it: it cannot be called off."""
        await settled(self._run_job(folder, kind, snapshot_id, node))

    async def _run_job(self, folder: VmFolder, kind: str, snapshot_id: str, node: str | None) -> None:
        name, job_id, devices = folder.name, _job_id(kind, snapshot_id), await self._disks(folder)
        arguments: dict[str, Any] = {"job_id": job_id, "tag": snapshot_id, "devices": devices}
        if node is not None:
            arguments |= {"vmstate": node, "devices": [*devices, node]}
        await self._settle(name, job_id)
        try:
            await self._hypervisor.monitor(name, kind, seconds=_SAVE_SECONDS, **arguments)
        except MonitorError as error:
            raise _failed(name, str(error)) from error
        problem = await self._settle(name, job_id)
        if problem is not None:
            raise _failed(name, problem)

    async def _settle(self, name: str, job_id: str) -> str | None:
        """Wait for a job to conclude and dismiss it; answers what went wrong."""
        pause = _FIRST_PAUSE
        while True:
            jobs: list[dict[str, Any]] = await self._hypervisor.monitor(name, "query-jobs", seconds=_SAVE_SECONDS)
            job = next((job for job in jobs if job["id"] == job_id), None)
            if job is None:
                return None
            if job["status"] == "concluded":
                with suppress(MonitorError):
                    await self._hypervisor.monitor(name, "job-dismiss", id=job_id)
                return job.get("error")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _node(snapshot_id: str) -> str:
    """QEMU's name of a memory's file: it allows 31 characters."""
    return f"memory-{''.join(c for c in snapshot_id if c.isalnum())[:24]}"


def _job_id(kind: str, snapshot_id: str) -> str:
    return f"{kind}-{snapshot_id}"


def _failed(name: str, why: str) -> Fault:
    if "No space left" in why:
        return Fault.because(
            "host.disk", f"the host's disk is too full for a snapshot of {name}", next="Free disk space, then retry."
        )
    return Fault.because(
        "vm.snapshot_failed",
        f"QEMU could not do it for {name}: {' '.join(why.split())}",
        next="Retry; if it stays so, stop the VM first.",
    )
