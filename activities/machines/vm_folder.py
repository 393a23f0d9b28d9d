"""The files of one VM on its host, and what is written down there about it.

A VM's state is libvirt's and these files'; a worker that is started after a killed one needs no more.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

from pydantic import ValidationError

from activities.machines.domain_xml import Accelerator, Nic
from domain.model import Value
from domain.vm.spec import VmSpec
from infra.libvirt_paths import LibvirtPaths, qemu_user

PREFIX = "vm-"
_HEX = frozenset("0123456789abcdef")
_NAME_DIGITS = 12
V = TypeVar("V", bound=Value)


class VmRecord(Value):
    """What this host knows of a VM. `wanted` is what it was last asked to be: an end unasked for is a loss.

    `boot` counts the starts; `started` is when the last one was, in seconds since the epoch. `nics` are its
    cards as they are defined, `strings` what its firmware tells the guest (SMBIOS, type 11).
    """

    vm_id: str
    org_id: str
    spec: VmSpec
    accelerator: Accelerator
    disk_bytes: int = 0
    wanted: Literal["running", "stopped"] = "stopped"
    boot: int = 0
    started: float = 0.0
    nics: tuple[Nic, ...] = ()
    strings: tuple[str, ...] = ()


class SnapshotRecord(Value):
    """A snapshot that is complete. `bytes` on the host's disk, `seconds` that it took."""

    memory: bool
    bytes: int
    seconds: float


class LeaseRecord(Value):
    """The highest fencing token that was shown for this VM."""

    vm_id: str
    token: int


def vm_name(vm_id: str) -> str:
    """Name the VM for libvirt. Two VMs may share a name in theory: compare labels before acting."""
    return PREFIX + "".join(c for c in vm_id.lower() if c in _HEX)[:_NAME_DIGITS]


def user_mac(vm_id: str) -> str:
    """The address of a VM's card on QEMU's own network, always the same, as a snapshot's memory needs it."""
    digest = hashlib.sha256(vm_id.encode()).hexdigest()
    return f"52:54:00:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"


class VmFolder:
    """The folders of the VM named `name`. Nothing is made by looking."""

    def __init__(self, paths: LibvirtPaths, name: str) -> None:
        self.name = name
        self.path = paths.machines / name
        self.sockets = paths.sockets / name
        self.inside = paths.inside_machine(name)
        self.inside_sockets = paths.inside_sockets(name)
        self._log = paths.root / "log" / "qemu" / f"{name}.log"

    @property
    def disk(self) -> Path:
        """The VM's own disk."""
        return self.path / "disk.qcow2"

    @property
    def variables(self) -> Path:
        """The firmware's variables."""
        return self.path / "variables.fd"

    def inner(self, path: Path) -> PurePosixPath:
        """Where the daemon's namespace has a file of this folder."""
        return self.inside / path.name

    def memory(self, snapshot_id: str) -> Path:
        """The memory that a snapshot holds."""
        return self.path / f"memory-{snapshot_id}.qcow2"

    def kept_variables(self, snapshot_id: str) -> Path:
        """The firmware's variables that a snapshot without memory holds."""
        return self.path / f"variables-{snapshot_id}.fd"

    def make(self) -> None:
        """Make the folders; harmless to repeat. QEMU may write into both: it makes sockets and opens disks."""
        for folder in (self.path, self.sockets):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        give(self.sockets)

    def remove(self) -> int:
        """Remove all files of the VM; answers how many there were. Harmless to repeat."""
        removed = 0
        for folder in (self.path, self.sockets):
            removed += sum(1 for path in folder.rglob("*") if not path.is_dir())
            shutil.rmtree(folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)
        return removed

    @property
    def record(self) -> VmRecord | None:
        """What is known of the VM; nothing if it was not made completely."""
        return _read(self.path / "vm.json", VmRecord)

    def write(self, record: VmRecord) -> VmRecord:
        """Write down what is known of the VM, and answer it."""
        _write(self.path / "vm.json", record)
        return record

    @property
    def lease(self) -> LeaseRecord | None:
        """The lease under which the VM is here."""
        return _read(self.path / "lease.json", LeaseRecord)

    def write_lease(self, lease: LeaseRecord) -> None:
        """Write down the highest token."""
        _write(self.path / "lease.json", lease)

    def snapshot(self, snapshot_id: str) -> SnapshotRecord | None:
        """A snapshot; nothing if it was not taken completely."""
        return _read(self.path / f"snapshot-{snapshot_id}.json", SnapshotRecord)

    def write_snapshot(self, snapshot_id: str, record: SnapshotRecord) -> None:
        """Say that a snapshot is complete."""
        _write(self.path / f"snapshot-{snapshot_id}.json", record)

    def forget_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot's files; its record first, so that no half of one passes for a whole."""
        for path in (
            self.path / f"snapshot-{snapshot_id}.json",
            self.memory(snapshot_id),
            self.kept_variables(snapshot_id),
        ):
            path.unlink(missing_ok=True)


def folders(paths: LibvirtPaths) -> tuple[VmFolder, ...]:
    """The folders of all VMs of this host, also of those of which only a part is left."""
    names = {path.name for root in (paths.machines, paths.sockets) for path in root.glob(f"{PREFIX}*")}
    return tuple(VmFolder(paths, name) for name in sorted(names))


def give(path: Path) -> None:
    """Give a file to QEMU's account; without root it is ours, and we are it."""
    if os.geteuid() == 0:
        user = qemu_user()
        os.chown(path, user.uid, user.gid)


def _read(path: Path, kind: type[V]) -> V | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, value: Value) -> None:
    """Write all of it or nothing, so that it is there after a power cut (fsync(2), rename(2))."""
    handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(value.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
