"""The files of one machine: its folder, its own disk over the store's blob, its firmware variables."""

import json
import os
import shutil
from pathlib import Path

from activities.machines.domain_xml import Accelerator, Kernel, MachineSpec, Pflash, machine_name
from activities.machines.labels import MachineLabel
from domain.artifacts import Artifact
from domain.errors import Fault
from domain.model import Value
from infra.libvirt_paths import LibvirtPaths, QemuUser, qemu_user
from infra.process import run

_OVMF = Path("/usr/share/OVMF")
_OVMF_NAMES = (("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), ("OVMF_CODE.fd", "OVMF_VARS.fd"))
_QEMU_IMG_SECONDS = 60.0
_DISK, _VARIABLES = "disk.qcow2", "variables.fd"


class Size(Value):
    """How big a machine is; memory in MiB."""

    memory: int = 1024
    cpus: int = 2


class Workspace:
    """The folders of the machine `name`. `remove` takes back all that the rest makes."""

    def __init__(self, paths: LibvirtPaths, name: str) -> None:
        self.name = name
        self.folder = paths.machines / name
        self.sockets = paths.sockets / name
        self._paths = paths

    async def prepare(
        self, artifact: Artifact, label: MachineLabel, accelerator: Accelerator, size: Size
    ) -> MachineSpec:
        """Make the files for booting `artifact`: a qcow2 under UEFI, an ISO under BIOS.

        Raises:
            Fault: `blob.missing`, `host.disk` or `host.firmware`.

        """
        blob = self._paths.blob(artifact.blob.digest)
        if not blob.is_file():
            raise Fault.because(
                "blob.missing", f"the {artifact.kind} {artifact.blob.digest} is not in this host's store", next="Retry."
            )
        inside = self._paths.inside_machine(self.name)
        backing = str(self._paths.inside_blob(artifact.blob.digest))
        spec = self._make(label, accelerator, size)
        if artifact.kind == "iso":
            return spec.model_copy(update={"cdrom": backing})
        await self._overlay(blob, backing)
        pflash = Pflash(code=self._firmware(), variables=str(inside / _VARIABLES))
        return spec.model_copy(update={"disk": str(inside / _DISK), "backing": backing, "pflash": pflash})

    def prepare_kernel(self, image: Path, initrd: Path, arguments: str, label: MachineLabel) -> MachineSpec:
        """Make the files for starting a kernel directly under KVM, in a small machine."""
        spec = self._make(label, "kvm", Size(memory=256, cpus=1))
        inside = self._paths.inside_machine(self.name)
        for source in (image, initrd):
            shutil.copyfile(source, self.folder / source.name)
            (self.folder / source.name).chmod(0o644)
        kernel = Kernel(image=str(inside / image.name), initrd=str(inside / initrd.name), arguments=arguments)
        return spec.model_copy(update={"kernel": kernel})

    def remove(self) -> bool:
        """Remove all files of the machine; answers whether there were any. Harmless to repeat."""
        found = self.folder.exists() or self.sockets.exists()
        for folder in (self.folder, self.sockets):
            shutil.rmtree(folder, ignore_errors=True)
        return found

    def _make(self, label: MachineLabel, accelerator: Accelerator, size: Size) -> MachineSpec:
        """Make the folders. QEMU may write into that of the sockets only: it makes the VNC socket itself."""
        self.remove()
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        self.sockets.mkdir(parents=True)
        self.sockets.chmod(0o755)
        self._give(self.sockets)
        return MachineSpec(
            name=self.name,
            label=label,
            accelerator=accelerator,
            memory=size.memory,
            cpus=size.cpus,
            sockets=str(self._paths.inside_sockets(self.name)),
        )

    async def _overlay(self, blob: Path, backing: str) -> None:
        """Make the machine's own disk. The backing file's name is true inside the namespace only, hence `-u`."""
        info = await run(["qemu-img", "info", "--output=json", str(blob)], timeout=_QEMU_IMG_SECONDS)
        size = int(json.loads(info.stdout)["virtual-size"])
        disk = self.folder / _DISK
        create = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", backing, str(disk), str(size)]
        await run(create, timeout=_QEMU_IMG_SECONDS)
        self._give(disk)

    def _firmware(self) -> str:
        """Copy the variables for this machine and answer where the firmware's code is."""
        code, variables = firmware()
        shutil.copyfile(variables, self.folder / _VARIABLES)
        self._give(self.folder / _VARIABLES)
        return str(code)

    @staticmethod
    def _give(path: Path) -> None:
        """Give a file to QEMU's account; without root it is ours, and we are it."""
        user: QemuUser = qemu_user()
        if os.geteuid() == 0:
            os.chown(path, user.uid, user.gid)


def workspace_of(paths: LibvirtPaths, job_id: str, artifact: str) -> Workspace:
    """The workspace of the job's machine for `artifact`."""
    return Workspace(paths, machine_name(job_id, artifact))


def firmware() -> tuple[Path, Path]:
    """Where the UEFI firmware's code is, and the variables that a new machine begins with.

    Raises:
        Fault: `host.firmware`.

    """
    for code, variables in _OVMF_NAMES:
        if (_OVMF / code).is_file() and (_OVMF / variables).is_file():
            return _OVMF / code, _OVMF / variables
    advice = "Install the package ovmf (`openfactory doctor --fix`)."
    raise Fault.because("host.firmware", f"there is no UEFI firmware in {_OVMF}", next=advice)
