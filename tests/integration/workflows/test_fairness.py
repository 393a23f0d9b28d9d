"""Tasks that wait on a server started as the stack starts it: urgent kinds first, organizations in turn."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio import activity, workflow
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from cli.stack.parts import MATCHING
from tests.integration.workflows.conftest import temporal_binary
from workflows import policies
from workflows.jobs import turn_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

FLOOD = 20
_PATIENCE = 60


@workflow.defn(sandboxed=False)
class Waiting:
    """One task for a host that is busy."""

    @workflow.run
    async def run(self, name: str) -> None:
        await workflow.execute_activity("work", name, task_queue="busy", start_to_close_timeout=timedelta(minutes=1))


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncGenerator[Client]:
    """A server of its own."""
    async with await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] - generic in the SDK
        dev_server_existing_path=temporal_binary(), dev_server_extra_args=list(MATCHING)
    ) as started:
        yield started.client


async def until_waiting(client: Client, count: int) -> None:
    """Return once so many tasks have got as far as the queue: a workflow knows of its task somewhat earlier.

    The server counts anew every few seconds.
    """
    question = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name="busy"),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    async with asyncio.timeout(_PATIENCE):
        while (await client.workflow_service.describe_task_queue(question)).stats.approximate_backlog_count < count:  # noqa: ASYNC110 - the server's own state
            await asyncio.sleep(0.5)


async def test_a_second_organization_is_not_starved_and_a_question_goes_first(client: Client) -> None:
    order: list[str] = []

    @activity.defn(name="work")
    async def work(name: str) -> None:
        order.append(name)

    async def ask(name: str, org_id: str, kind: int = policies.JOB_TURN) -> None:
        handle = await client.start_workflow(
            Waiting.run, name, id=str(uuid.uuid4()), task_queue="core", priority=turn_of(org_id, kind)
        )
        started.append(handle)
        while not (await handle.describe()).raw_description.pending_activities:  # noqa: ASYNC110 - the server's own state
            await asyncio.sleep(0.02)

    started: list[WorkflowHandle[Waiting, None]] = []
    async with Worker(client, task_queue="core", workflows=[Waiting]):
        for _ in range(FLOOD):
            await ask("flood", "a")
        for _ in range(3):
            await ask("other", "b")
        await ask("question", "a", policies.QUESTION_TURN)
        await until_waiting(client, len(started))
        async with Worker(client, task_queue="busy", activities=[work], max_concurrent_activities=1):
            await asyncio.wait_for(asyncio.gather(*(handle.result() for handle in started)), _PATIENCE)
    assert order.index("question") <= 1
    assert [place for place, name in enumerate(order) if name == "other"][-1] <= 8
