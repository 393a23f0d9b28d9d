"""The table of what the laboratory has seen, for people: `docs/faults.md`."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.faults.experiment import Run

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
_BEGIN, _END = "<!-- the table: written by `python -m tests.faults` -->\n", "<!-- the end of the table -->\n"
_COLUMNS = ("fault", "operation", "runs", "lost", "duplicated", "orphans", "recovery p50", "max", "open failures")


def write(runs: Iterable[Run]) -> str:
    """Write the table's text."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.kind, run.operation].append(run)
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    real_last = sorted(groups.items(), key=lambda group: group[0][0].startswith("real: "))
    lines += [_row(kind, operation, found) for (kind, operation), found in real_last]
    return "\n".join(lines) + "\n"


def _row(kind: str, operation: str, runs: list[Run]) -> str:
    times = [run.recovery for run in runs]
    cells = (
        kind,
        operation,
        len(runs),
        sum(run.lost for run in runs),
        sum(run.duplicated for run in runs),
        sum(run.orphans for run in runs),
        f"{statistics.median(times):.1f} s",
        f"{max(times):.1f} s",
        sum(not run.well for run in runs),
    )
    return f"| {' | '.join(map(str, cells))} |"


def publish(runs: list[Run]) -> None:
    """Put the table into the document, between its marks. A fault that did not come to pass proves nothing."""
    runs = [run for run in runs if run.did]
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    injected = len({(run.kind, run.seed) for run in runs})
    said = f"\n{len(runs)} runs of operations under {injected} faults.\n\n"
    DOCUMENT.write_text(f"{before}{_BEGIN}{said}{write(runs)}\n{_END}{after}", encoding="utf-8")
