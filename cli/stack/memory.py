"""What processes take of the memory: their proportional set size (proc(5), smaps_rollup)."""

from collections import defaultdict
from pathlib import Path


def pss_bytes(pid: int, children: dict[int, list[int]], without: frozenset[int] = frozenset()) -> int:
    """Sum the PSS of a process and of all below it, except for those `without` and what is below them.

    What ended meanwhile counts as nothing.
    """
    below = (child for child in children.get(pid, []) if child not in without)
    return _own(pid) + sum(pss_bytes(child, children, without) for child in below)


def process_children() -> dict[int, list[int]]:
    """List the children of every process."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[1]
            except OSError:
                continue
            children[int(parent)].append(int(entry.name))
    return children


def _own(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
