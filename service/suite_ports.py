"""What the service of suites and test runs needs of the rest of the factory, as protocols."""

from typing import Protocol

from domain.suite.commands import AnySuiteCommand
from domain.suite.state import SuiteState
from domain.test_run.inputs import RunKind, RunPlan, RunRequest
from domain.test_run.state import RunState, RunStatus
from domain.test_run.views import RunPage
from event_store.models.suites import SuiteStatePage
from workflows.commands import CancelCommand


class SuiteReads(Protocol):
    """The suites of one organization."""

    async def get(self, suite_id: str) -> SuiteState | None:
        """Return a suite, or nothing if it is absent or another organization's."""
        ...

    async def page(self, *, limit: int, cursor: str | None = None, name: str | None = None) -> SuiteStatePage:
        """List suites, newest first. Raises `Verdict` (`cursor.invalid`) for a cursor that is not ours."""
        ...

    async def bound_to(self, source_id: str, *, limit: int) -> tuple[str, ...]:
        """Return the names of suites that have an image of this build or upload in a slot, at most so many."""
        ...


class RunReads(Protocol):
    """The test runs of one organization."""

    async def get(self, run_id: str) -> RunState | None:
        """Return a run, or nothing if it is absent or another organization's."""
        ...

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        kind: RunKind | None = None,
        status: RunStatus | None = None,
        target_id: str | None = None,
    ) -> RunPage:
        """List runs, newest first. Raises `Verdict` (`cursor.invalid`) for a cursor that is not ours."""
        ...

    async def called(self, beginning: str, *, limit: int) -> tuple[str, ...]:
        """Return the ids of runs whose id or name begins like this, newest first, at most so many."""
        ...

    async def previous(self, run: RunState) -> RunState | None:
        """Return the run before this one of the same suite, machine or name that came to a verdict."""
        ...

    async def last(self, plan: RunPlan) -> RunState | None:
        """Return the run that a new one with this plan would have as its `previous`."""
        ...


class Tests(Protocol):
    """The workflows of suites and test runs. Every method raises `Fault` when the workflow engine does not answer."""

    async def define_suite(self, suite_id: str, command: AnySuiteCommand) -> int:
        """Record a command to a suite and answer its version. Raises `Verdict` if the command is refused."""
        ...

    async def start_run(self, request: RunRequest) -> None:
        """Start a run's workflow; starting the same id again is harmless."""
        ...

    async def run_known(self, run_id: str, org_id: str) -> str | None:
        """Return the input digest of the organization's workflow of this run, or nothing."""
        ...

    async def cancel_run(self, run_id: str, command: CancelCommand) -> None:
        """Ask a run to end; harmless to repeat."""
        ...
