"""The table: one row for each fault and operation, and what it said before of others."""

from tests.faults.experiment import Run
from tests.faults.table import write


def _run(kind: str, recovery: float, *failures: str) -> Run:
    return Run(
        kind=kind,
        seed=0,
        operation="build",
        did="it died",
        ended="completed",
        again=0,
        recovery=recovery,
        lost=0,
        duplicated=0,
        orphans=0,
        failures=failures,
    )


def test_a_row_counts_the_runs_of_its_fault() -> None:
    table = write([_run("mcp killed", 1.0), _run("mcp killed", 3.0, "an orphan")])
    assert "| mcp killed | build | 2 | 0 | 0 | 0 | 2.0 s | 3.0 s | 1 |" in table


def test_what_it_said_of_other_faults_stays() -> None:
    earlier = write([_run("mcp killed", 1.0), _run("real: mcp killed", 9.0)])
    table = write([_run("mcp killed", 2.0), _run("s3 killed", 5.0)], earlier=earlier)
    rows = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]
    assert rows == ["mcp killed", "s3 killed", "real: mcp killed"]
    assert "| mcp killed | build | 1 | 0 | 0 | 0 | 2.0 s | 2.0 s | 0 |" in table
