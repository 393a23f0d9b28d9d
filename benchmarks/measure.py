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


def median_ratio(what: str, pairs: Sequence[tuple[float, float]], aim: str, note: str = "") -> Ratio:
    """Make a line of pairs (ours, reference) that ran next to each other; the medians of both."""
    return Ratio(what, statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), aim, note)


def table(ratios: Sequence[Ratio]) -> str:
    """Write the lines as a table in markdown."""
    rows = ["| what | ours, s | reference, s | ratio | aim | |", "|---|---|---|---|---|---|"]
    rows += [f"| {r.what} | {r.ours:.3f} | {r.reference:.3f} | {r.value:.3f} | {r.aim} | {r.note} |" for r in ratios]
    return "\n".join(rows)
