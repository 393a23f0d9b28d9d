"""What this host has for VMs and builds, asked once when its worker starts."""

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
_PROCESSORS_OF_BUILD = {"kvm": 1, "tcg": 2}
_MEMORY_OF_BUILD = 4096  # MiB: its tools, and two machines to try its images on


class HostAddress(Value):
    """How a host is reached: its name, the task queue that is its own, its console relay.

    `builds` is how many it takes at a time, if somebody said so.
    """

    host: str
    queue: str
    relay: str | None = None
    builds: int | None = None


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
        lease_queue=lease_queue(address.queue),
        memory=max(0, available_memory() + taken - SPARE_MEMORY),
        cpus=available_processors(),
        disk=max(0, available_disk(paths.machines) - SPARE_DISK),
        accelerator=accelerator,
        relay=address.relay,
        builds=address.builds or usual_builds(accelerator, available_processors(), available_memory() + taken),
    )


def lease_queue(queue: str) -> str:
    """Name the task queue of a host's lease."""
    return f"{queue}:lease"


def usual_builds(accelerator: Literal["kvm", "tcg"], cpus: int, memory: int) -> int:
    """Tell how many builds a host takes at a time: one per processor as far as its memory goes, and always one.

    Where machines are emulated it is one per two processors: a build boots its images side by side, each of them keeps
    a processor at work for minutes, and with more of them than processors the boots run out of time.
    """
    return max(1, min(cpus // _PROCESSORS_OF_BUILD[accelerator], memory // _MEMORY_OF_BUILD))
