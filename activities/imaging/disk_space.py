"""Room on disk and in memory, looked at before work starts instead of in the middle of it."""

import shutil
from pathlib import Path

from domain.errors import Fault

_RESERVE_BYTES = 512 << 20  # for logs, databases and the other jobs of this host
_MEMORY_SHARE = 0.5  # of what is free: other jobs and virtual machines want some too
_UNLIMITED = 1 << 60
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),  # version 2
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def require_disk(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to start what would fill the disk of `folder`. `needed` is in bytes.

    Raises:
        Fault: `disk.full`, saying how much is missing and where.

    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + _RESERVE_BYTES:
        raise Fault.because(
            "disk.full",
            f"{purpose} needs {_mb(needed + _RESERVE_BYTES)} on the disk of {folder}, which has {_mb(free)} left.",
            path=str(folder),
            value=str(free),
            next=f"Free at least {_mb(needed + _RESERVE_BYTES - free)} there (finished layers in `layers` and `store` "
            "and package files in `cache` are made again when needed), then retry.",
        )


def scratch_memory(needed: int) -> int | None:
    """Answer `needed` if that many bytes may be used in memory on this machine now, else nothing."""
    return needed if needed < _free_memory() * _MEMORY_SHARE else None


def _free_memory() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
    free = int(fields["MemAvailable"].split()[0]) * 1024  # proc_meminfo(5): in KiB
    for limit, usage in _CGROUPS:
        allowed, used = _number(limit), _number(usage)
        if allowed is not None and used is not None and allowed < _UNLIMITED:
            free = min(free, max(0, allowed - used))
    return free


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):  # no such cgroup, or `max`
        return None


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
