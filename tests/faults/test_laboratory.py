"""Every kind of fault on the quick builder (`-m faults`). For volume, and the table: `python -m tests.faults`."""

import pytest

from tests.faults.conftest import Bench
from tests.faults.kinds import kinds
from tests.faults.reach import CRASHED

SEEDS = (1, 2)
KINDS = [kind.name for kind in kinds(dict.fromkeys(CRASHED, ("-",)))]


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", KINDS)
async def test_what_was_acknowledged_ends_well_and_nothing_is_left(bench: Bench, name: str, seed: int) -> None:
    runs = await bench.experiments.run(bench.kind(name), seed)
    wrong = {run.operation: run.failures for run in runs if run.failures}
    assert not wrong, f"{name}, seed {seed}: {runs[0].did}: {wrong}"


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(600)
async def test_the_quick_builder_survives_its_workers_host_being_killed(bench: Bench) -> None:
    """The laboratory itself, in the default run: one kind, one seed."""
    runs = await bench.experiments.run(bench.kind("host-worker killed"), 1)
    assert not [failure for run in runs for failure in run.failures], runs
