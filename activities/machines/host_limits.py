"""What the host has left: refused before QEMU is asked, because QEMU would be killed or a guest stopped later."""

import os
import shutil
from pathlib import Path

from domain.errors import Fault

SPARE_MEMORY = 256
SPARE_DISK = 512
_MIB = 1 << 20


def available_memory() -> int:
    """Memory that can be taken without pushing others out, in MiB (proc(5), MemAvailable)."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))


def available_disk(folder: Path) -> int:
    """Space left where `folder` is or will be, in MiB."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // _MIB


def available_processors() -> int:
    """Processors that this process may use (sched_getaffinity(2))."""
    return len(os.sched_getaffinity(0))


def require_memory(needed: int) -> None:
    """Refuse to start machines that the host has no memory for; `needed` in MiB.

    Raises:
        Fault: `host.memory`.

    """
    available = available_memory()
    if available < needed + SPARE_MEMORY:
        raise Fault.because(
            "host.memory",
            f"the machines need {needed} MiB of memory and the host has {available} MiB left",
            next="Stop something on the host, or wait until other builds have been tested; then retry.",
        )


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Refuse to write `what` that the host has no room for; `needed` in MiB.

    Raises:
        Fault: `host.disk`.

    """
    available = available_disk(folder)
    if available < needed + SPARE_DISK:
        raise Fault.because(
            "host.disk",
            f"{what} needs {needed} MiB on the host's disk, which has {available} MiB left",
            next="Free disk space on the host or delete VMs and snapshots; then retry.",
        )
