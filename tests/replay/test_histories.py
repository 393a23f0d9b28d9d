"""Histories of real builds, replayed on today's workflow code: what runs in production must go on after an update."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.sandbox import strict_runner
from workflows.catalog import WORKFLOWS, workflow_runner

HISTORIES = Path(__file__).parent / "histories"


RUNNERS = {"as the workers do": workflow_runner, "in the strict sandbox": strict_runner}


@pytest.fixture(params=RUNNERS)
def replayer(request: pytest.FixtureRequest) -> Replayer:
    runner = RUNNERS[request.param]()
    return Replayer(workflows=list(WORKFLOWS), data_converter=pydantic_data_converter, workflow_runner=runner)


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_a_recorded_history_replays_on_todays_code(replayer: Replayer, path: Path) -> None:
    await replayer.replay_workflow(history(path))


@pytest.mark.parametrize("path", sorted((HISTORIES / "parted").glob("*.json")), ids=lambda path: path.stem)
async def test_a_history_that_parts_from_todays_code_is_noticed(replayer: Replayer, path: Path) -> None:
    with pytest.raises(NondeterminismError, match="inspect_machines"):
        await replayer.replay_workflow(history(path))


def test_there_are_histories_of_each_kind() -> None:
    assert len(list(HISTORIES.glob("*.json"))) >= 3
    assert list((HISTORIES / "parted").glob("*.json"))
