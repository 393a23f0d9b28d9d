"""Every kind of fault on the quick builder (`-m faults`). For volume, and the table: `python -m tests.faults`."""

import pytest

from tests.faults.__main__ import equipped
from tests.faults.conftest import Bench
from tests.faults.kinds import kinds
from tests.faults.operations import OPERATIONS
from tests.faults.reach import CRASHED
from tests.invariants import Witness, violations

SEEDS = (1, 2)
KINDS = [kind.name for kind in kinds(dict.fromkeys(CRASHED, ("-",)))]


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", KINDS)
async def test_what_was_acknowledged_ends_well_and_nothing_is_left(bench: Bench, name: str, seed: int) -> None:
    runs = await bench.experiments.run(bench.kind(name), seed=seed)
    if not runs[0].did:
        pytest.skip(f"{name}, seed {seed}: it did not come to this fault")
    wrong = {run.operation: run.failures for run in runs if run.failures}
    assert not wrong, f"{name}, seed {seed}: {runs[0].did}: {wrong}"


@pytest.mark.integration
@pytest.mark.timeout(180)
async def test_builds_machines_and_suites_survive_the_death_of_the_host_worker_under_them() -> None:
    """The laboratory itself, in the default run: one kind, one seed. It sees what is lost after that, too."""
    async with equipped(points=False) as (lab, experiments, _):
        [kind] = [kind for kind in kinds({}) if kind.name == "host-worker killed"]
        runs = await experiments.run(kind, seed=1)
        witness, objects = Witness(lab.home), Witness(lab.home).objects()
        assert await violations(witness) == []
        lost = f"blobs/{min(witness.seen)}"
        await objects.delete(lost)
        await objects.aclose()
        assert [(v.kind, v.what.split()[0]) for v in await violations(witness)] == [("digest", lost)]
    assert runs[0].did == "killed host-worker"
    assert [run.failures for run in runs if run.failures] == []
    assert {run.operation for run in runs} == set(OPERATIONS)
