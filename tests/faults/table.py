"""The table of what the laboratory has seen, for people: `docs/faults.md`."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.faults.experiment import Run

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
_BEGIN, _END = "<!-- the table: written by `python -m tests.faults` -->\n", "<!-- the end of the table -->\n"
_COLUMNS = ("fault", "operation", "runs", "lost", "duplicated", "orphans", "recovery p50", "max", "open failures")


def write(runs: Iterable[Run], *, earlier: str = "") -> str:
    """Write the table's text. Rows of an `earlier` one stay where these runs say nothing new."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.kind, run.operation].append(run)
    rows = _rows(earlier) | {key: _row(*key, found) for key, found in groups.items()}
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    lines += [row for _, row in sorted(rows.items(), key=lambda item: item[0][0].startswith("real: "))]
    return "\n".join(lines) + "\n"


def _rows(table: str) -> dict[tuple[str, str], str]:
    """Read the rows back, by fault and operation."""
    found: dict[tuple[str, str], str] = {}
    for line in table.splitlines():
        cells = _cells(line)
        if len(cells) == len(_COLUMNS) and cells[2].isdecimal():
            found[cells[0], cells[1]] = line
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


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
    """Put the table into the document, between its marks. A fault that did not come to pass proves nothing.

    A file of results is one machine's, and often of some kinds only: what the document says of others stays.
    """
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    earlier, _, after = rest.partition(_END)
    table = write([run for run in runs if run.did], earlier=earlier)
    rows = _rows(table)
    total = sum(int(_cells(row)[2]) for row in rows.values())
    said = f"\n{total} runs of operations under {len({kind for kind, _ in rows})} kinds of faults.\n\n"
    DOCUMENT.write_text(f"{before}{_BEGIN}{said}{table}\n{_END}{after}", encoding="utf-8")
