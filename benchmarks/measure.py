"""What every measurement has in common: pairs of runs, and a table of ratios."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """One line of the table: medians in seconds, of ours and of the reference's runs, and the aim."""

    what: str
    ours: float
    reference: float
    aim: str
    note: str = ""

    @property
    def value(self) -> float:
        """How many times as long ours takes."""
        return self.ours / self.reference

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of the line."""
        return (self.what, f"{self.ours:.3f} s", f"{self.reference:.3f} s", f"{self.value:.3f}", self.aim, self.note)


@dataclass(frozen=True)
class Figure:
    """One line that has no reference: it says little on a busy machine."""

    what: str
    value: float
    unit: str
    aim: str
    note: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of the line."""
        return (self.what, f"{self.value:.3f} {self.unit}", "", "", self.aim, self.note)


Line = Ratio | Figure


def median_ratio(what: str, pairs: Sequence[tuple[float, float]], aim: str, note: str = "") -> Ratio:
    """Make a line of pairs (ours, reference) that ran next to each other; the medians of both."""
    return Ratio(what, statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), aim, note)


def median_figure(what: str, values: Sequence[float], unit: str, aim: str, note: str = "") -> Figure:
    """Make a line of the values' median."""
    return Figure(what, statistics.median(values), unit, aim, note)


def table(lines: Sequence[Line]) -> str:
    """Write the lines as a table in markdown."""
    rows = ["| what | ours | reference | ratio | aim | |", "|---|---|---|---|---|---|"]
    rows += [f"| {' | '.join(line.row)} |" for line in lines]
    return "\n".join(rows)
