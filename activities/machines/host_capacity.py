"""What this host has for VMs, asked once when its worker starts."""

from typing import Literal

from activities.machines.host_limits import (
    SPARE_DISK,
    SPARE_MEMORY,
    available_disk,
    available_memory,
    available_processors,
)
from activities.machines.vm_folder import VmRecord
from activities.machines.vm_models import HostCapacity
from domain.model import Value
from infra.libvirt_paths import LibvirtPaths

_MIB = 1 << 20


class HostAddress(Value):
    """How a host is reached: its name, the task queue that is its own, its console relay."""

    host: str
    queue: str
    relay: str | None = None


def capacity_of(
    address: HostAddress, paths: LibvirtPaths, accelerator: Literal["kvm", "tcg"], running: tuple[VmRecord, ...]
) -> HostCapacity:
    """Measure: what is free now, and what the VMs of this host that run (`running`) have already.

    Disk that VMs have written is not free, and their leases count it once more; what is told is less than
    what there is, never more.
    """
    taken = sum(record.spec.memory for record in running)
    return HostCapacity(
        host=address.host,
        queue=address.queue,
        memory=max(0, available_memory() + taken - SPARE_MEMORY),
        cpus=available_processors(),
        disk=max(0, available_disk(paths.machines) - SPARE_DISK),
        accelerator=accelerator,
        relay=address.relay,
    )
