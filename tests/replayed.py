"""Whether what the workflow engine has recorded can be replayed: a workflow whose history cannot is stuck for good."""

import tempfile
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workflows.catalog import WORKFLOWS, workflow_runner

_KEPT = Path(tempfile.gettempdir()) / "openfactory-histories"


async def unreplayable(temporal: str, done: set[str]) -> list[str]:
    """Replay the history of every run whose id is not in `done`, and name those that part from the code.

    Those that are over are added to `done`. A history that parts is kept in a file, for it is gone with the factory.
    """
    client = await Client.connect(temporal, data_converter=pydantic_data_converter)
    replayer = Replayer(
        workflows=list(WORKFLOWS), data_converter=pydantic_data_converter, workflow_runner=workflow_runner()
    )
    found: list[str] = []
    async for execution in client.list_workflows():
        if execution.run_id in done:
            continue
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            found.append(f"{execution.id}: {result.replay_failure} ({_keep(execution.run_id, history)})")
        if execution.close_time is not None:
            done.add(execution.run_id)
    return found


def _keep(run_id: str, history: WorkflowHistory) -> Path:
    _KEPT.mkdir(exist_ok=True)
    path = _KEPT / f"{run_id}.json"
    path.write_text(history.to_json(), encoding="utf-8")
    return path
