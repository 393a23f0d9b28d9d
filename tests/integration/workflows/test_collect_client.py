"""Waiting for a collection: it says what it is at, and does not wait for ever for workers that are not there."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.keeping import collect_models as m
from activities.swept import Swept
from domain.errors import Fault
from tests.sandbox import strict_runner
from workflows import collect_client, policies
from workflows.collect import CollectWorkflow
from workflows.collect_client import BEGINNING, collect

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


@dataclass
class _Slow:
    """A collection whose sweep takes until it is let go."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name=m.FIND_EXPIRED)
    async def find_expired(self, request: m.CollectInput) -> m.ExpiredFound:
        del request
        return m.ExpiredFound(builds=())

    @activity.defn(name=m.SWEEP_OBJECTS)
    async def sweep_objects(self, request: m.SweepInput) -> Swept:
        del request
        await self.go_on.wait()
        return Swept(notes=("swept",))

    @activity.defn(name=m.FIND_HOSTS)
    async def find_hosts(self) -> m.HostsFound:
        return m.HostsFound(queues=())

    def core(self, client: Client) -> Worker:
        return Worker(
            client,
            task_queue=policies.CORE_QUEUE,
            workflows=[CollectWorkflow],
            activities=[self.find_expired, self.sweep_objects, self.find_hosts],
            workflow_runner=strict_runner(),
        )


@pytest_asyncio.fixture(loop_scope="session")
async def client(environment: WorkflowEnvironment) -> AsyncGenerator[Client]:
    """A client whose clocks run as they do."""
    address = environment.client.service_client.config.target_host
    yield await Client.connect(address, data_converter=pydantic_data_converter)


def new_id() -> str:
    return f"collect-{uuid.uuid4()}"


async def _until(told: list[str], what: str) -> None:
    deadline = time.monotonic() + 30
    while what not in told:
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    monkeypatch.setattr(collect_client, "LOOK_SECONDS", 0.1)


async def test_who_waits_is_told_at_once_and_then_what_is_looked_at(client: Client) -> None:
    told: list[str] = []
    slow = _Slow()
    waiting = asyncio.create_task(collect(client, new_id(), m.CollectInput(dry_run=True), told.append))
    await _until(told, BEGINNING)
    async with slow.core(client):
        await _until(told, "looking at every object in the store")
        slow.go_on.set()
        collected = await asyncio.wait_for(waiting, 30)
    assert collected.dry_run
    assert collected.notes == ("swept",)
    assert told[0] == BEGINNING


async def test_what_no_worker_takes_up_is_withdrawn_and_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_client, "PATIENCE_SECONDS", 1.0)
    workflow_id = new_id()
    with pytest.raises(Fault) as failed:
        await asyncio.wait_for(collect(client, workflow_id, m.CollectInput(), lambda _: None), 30)
    [problem] = failed.value.problems
    assert problem.code == "gc.not_taken_up"
    assert problem.retryable
    assert "openfactory status" in (problem.next or "")
    found = await client.get_workflow_handle(workflow_id).describe()
    assert found.status == WorkflowExecutionStatus.TERMINATED


async def test_a_worker_that_goes_away_in_the_middle_is_not_waited_for_either(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect_client, "PATIENCE_SECONDS", 1.0)
    told: list[str] = []
    slow = _Slow()
    async with slow.core(client):
        waiting = asyncio.create_task(collect(client, new_id(), m.CollectInput(), told.append))
        await _until(told, "looking at every object in the store")
    with pytest.raises(Fault, match=r"gc\.not_taken_up"):
        await asyncio.wait_for(waiting, 60)
