"""What is found after an experiment counts against it, whichever job it is about."""

from pathlib import Path
from unittest.mock import AsyncMock, MagicMock

import pytest

from tests.faults import experiment
from tests.faults.experiment import Experiments, Run
from tests.faults.factory import Laboratory
from tests.faults.kinds import Kind
from tests.faults.operations import Client, Outcome
from tests.invariants import Violation

OF_BEFORE = Violation("digest", "blobs/aa has other bytes", "a build of before")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    """A laboratory in which nothing runs: each operation is acknowledged and done at once."""

    async def done(client: Client, outcome: Outcome, *_: object) -> None:
        outcome.acknowledged.append(client.seed)
        outcome.ended = "completed"

    for name in ("build", "vm", "suite_run"):
        monkeypatch.setattr(experiment, name, done)
    made = Laboratory(tmp_path)
    monkeypatch.setattr(Laboratory, "stack", MagicMock())
    monkeypatch.setattr(made, "ready", AsyncMock())
    return made


async def ran(experiments: Experiments, monkeypatch: pytest.MonkeyPatch, *found: Violation) -> tuple[Run, ...]:
    monkeypatch.setattr(experiment, "violations", AsyncMock(return_value=list(found)))
    return await experiments.run(Kind("mcp killed", AsyncMock(return_value="killed mcp")), seed=1)


async def test_a_wrong_file_of_another_build_is_not_passed_over(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = Experiments(lab)
    assert all(run.well for run in await ran(experiments, monkeypatch))
    assert not any(run.well for run in await ran(experiments, monkeypatch, OF_BEFORE))


async def test_what_one_experiment_broke_is_not_counted_under_the_next(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = Experiments(lab)
    await ran(experiments, monkeypatch, OF_BEFORE)
    assert all(run.well for run in await ran(experiments, monkeypatch, OF_BEFORE))
