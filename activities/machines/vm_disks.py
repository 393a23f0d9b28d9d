"""A VM's own disk over its read-only image, its firmware's variables, and snapshots of both while it is off."""

import json
import shutil
from pathlib import Path

from activities.machines.domain_xml import MachineSpec, Pflash
from activities.machines.labels import VmLabel
from activities.machines.vm_folder import VmFolder, VmRecord, give
from activities.machines.vm_images import BaseImages, header
from activities.machines.workspace import firmware
from domain.errors import Fault
from domain.vm.spec import ImageRef
from infra.libvirt_paths import LibvirtPaths
from infra.process import run

_MIB = 1 << 20
_SECONDS = 120.0


class VmDisks:
    """Makes the files that QEMU opens. Each appears complete or not at all, so a repeat goes on where it was."""

    def __init__(self, paths: LibvirtPaths, images: BaseImages) -> None:
        self._paths = paths
        self._images = images

    async def make(self, folder: VmFolder, record: VmRecord) -> int:
        """Make disk and variables unless they are there; answers the size of the disk in bytes, 0 without one.

        Raises:
            Fault: `host.firmware`, or what qemu-img says.

        """
        if record.spec.firmware == "uefi" and not folder.variables.exists():
            part = folder.path / ".variables"
            shutil.copyfile(firmware()[1], part)
            give(part)
            part.rename(folder.variables)
        size = await self._size(record)
        if size and not folder.disk.exists():
            await self._make_disk(folder, record.spec.image, size)
        return size

    def spec(self, folder: VmFolder, record: VmRecord, token: int) -> MachineSpec:
        """Describe the VM for libvirt.

        Raises:
            Fault: `host.firmware`.

        """
        spec, image = record.spec, str(self._paths.inside_blob(record.spec.image.digest))
        is_iso, has_disk = spec.image.format == "iso", record.disk_bytes > 0
        pflash = None
        if spec.firmware == "uefi":
            pflash = Pflash(code=str(firmware()[0]), variables=str(folder.inner(folder.variables)))
        return MachineSpec(
            name=folder.name,
            label=VmLabel(vm_id=record.vm_id, org_id=record.org_id, token=token),
            accelerator=record.accelerator,
            memory=spec.memory,
            cpus=spec.cpus,
            sockets=str(folder.inside_sockets),
            pflash=pflash,
            disk=str(folder.inner(folder.disk)) if has_disk else None,
            backing=image if has_disk and not is_iso else None,
            cdrom=image if is_iso else None,
            nics=record.nics,
            strings=record.strings,
            lasting=True,
        )

    async def keep(self, folder: VmFolder, snapshot_id: str) -> None:
        """Keep disk and variables of a VM that is off; a repeat replaces what an interrupted one left."""
        await self.forget(folder, snapshot_id)
        if folder.disk.exists():
            await run(["qemu-img", "snapshot", "-c", snapshot_id, await self._safe(folder)], timeout=_SECONDS)
        if folder.variables.exists():
            shutil.copyfile(folder.variables, folder.kept_variables(snapshot_id))

    async def bring_back(self, folder: VmFolder, snapshot_id: str) -> None:
        """Bring disk and variables of a VM that is off back; harmless to repeat."""
        if folder.disk.exists():
            await run(["qemu-img", "snapshot", "-a", snapshot_id, await self._safe(folder)], timeout=_SECONDS)
        kept = folder.kept_variables(snapshot_id)
        if kept.exists():
            shutil.copyfile(kept, folder.variables)

    async def forget(self, folder: VmFolder, snapshot_id: str) -> None:
        """Remove a snapshot from the disk of a VM that is off; harmless to repeat."""
        if not folder.disk.exists():
            return
        known = {snapshot["name"] for snapshot in (await header(folder.disk)).get("snapshots", ())}
        if snapshot_id in known:
            await run(["qemu-img", "snapshot", "-d", snapshot_id, await self._safe(folder)], timeout=_SECONDS)

    async def _size(self, record: VmRecord) -> int:
        wanted = (record.spec.disk or 0) * _MIB
        if record.spec.image.format == "iso":
            return wanted
        return max(wanted, await self._images.virtual_size(record.spec.image))

    async def _make_disk(self, folder: VmFolder, image: ImageRef, size: int) -> None:
        """Make the VM's own disk. The backing file's name is true inside the namespace only, hence `-u`."""
        part = folder.path / ".disk"
        backing: list[str] = []
        if image.format == "qcow2":
            backing = ["-u", "-F", "qcow2", "-b", str(self._paths.inside_blob(image.digest))]
        await run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(part), str(size)], timeout=_SECONDS)
        give(part)
        part.rename(folder.disk)

    async def _safe(self, folder: VmFolder) -> str:
        """Name the disk for qemu-img so that it opens this one file and no other, whatever is written in it.

        QEMU has written to it for a guest, and qemu-img runs as the factory.
        """
        found = await header(folder.disk)
        if found.get("format-specific", {}).get("data", {}).get("data-file"):
            raise Fault.because(
                "machine.disk_changed", f"the disk of {folder.name} refers to a foreign file", next="Delete the VM."
            )
        return "json:" + json.dumps(
            {"driver": "qcow2", "file": {"driver": "file", "filename": str(folder.disk)}, "backing": None}
        )


def blank(path: Path) -> list[str]:
    """The command that makes a file for a running VM's memory: what is kept lies behind the end of its disk."""
    return ["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(_MIB)]
