"""Every kind of fault on the quick builder (`-m faults`). For volume, and the table: `python -m tests.faults`."""

import pytest

from tests.faults.__main__ import equipped
from tests.faults.conftest import Bench
from tests.faults.kinds import kinds
from tests.faults.operations import OPERATIONS
from tests.faults.reach import CRASHED

SEEDS = (1, 2)
KINDS = [kind.name for kind in kinds(dict.fromkeys(CRASHED, ("-",)))]


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", KINDS)
async def test_what_was_acknowledged_ends_well_and_nothing_is_left(bench: Bench, name: str, seed: int) -> None:
    runs = await bench.experiments.run(bench.kind(name), seed=seed)
    wrong = {run.operation: run.failures for run in runs if run.failures}
    assert not wrong, f"{name}, seed {seed}: {runs[0].did}: {wrong}"


@pytest.mark.integration
@pytest.mark.timeout(180)
async def test_builds_machines_and_suites_survive_the_death_of_the_host_worker_under_them() -> None:
    """The laboratory itself, in the default run: one kind, one seed."""
    async with equipped(points=False) as (_, experiments, _):
        [kind] = [kind for kind in kinds({}) if kind.name == "host-worker killed"]
        runs = await experiments.run(kind, seed=1)
    assert [run.failures for run in runs if run.failures] == []
    assert {run.operation for run in runs} == set(OPERATIONS)
