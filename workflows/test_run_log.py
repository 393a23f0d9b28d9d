"""What a run's workflow knows of its run: each command is recorded, and folded here as the log folds it."""

import asyncio

from temporalio import workflow

from workflows.recording import record_test_run

with workflow.unsafe.imports_passed_through():
    from domain.test_run.commands import AnyTestRunCommand
    from domain.test_run.decide import decide
    from domain.test_run.state import RunState, evolve


class RunLog:
    """The run so far. Deciding is pure, so the workflow need not read back what it tells."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._state: RunState | None = None

    @property
    def state(self) -> RunState:
        """The run as the log has it."""
        if self._state is None:
            raise AssertionError("a run is told of before it is requested")
        return self._state

    async def tell(self, command: AnyTestRunCommand) -> None:
        """Record what `command` decides. A cancellation waits until it is written: what is said here is so."""
        recording = asyncio.create_task(self._record(command))
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            await recording
            raise

    async def _record(self, command: AnyTestRunCommand) -> None:
        events = decide(self._state, command, now=workflow.now())
        await record_test_run(self._run_id, command)
        for event in events:
            self._state = evolve(self._state, event)
