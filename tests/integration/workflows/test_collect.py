"""Collection and the keeping of histories, on a real Temporal server with stores of fakes."""

import asyncio
import gzip
import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.imaging.collect_activities import CollectStoreActivities
from activities.imaging.store_room import Evicted, Item
from activities.keeping.activities import KeepingActivities
from activities.keeping.collect_models import CollectInput, HistoriesKept, KeepHistories
from activities.keeping.collection import CollectionActivities
from activities.keeping.histories import HistoryActivities
from activities.keeping.ports import Ended
from activities.keeping.temporal_histories import TemporalHistories
from cli.history import find_divergence, read_history
from domain.artifacts import Artifact
from domain.build.events import ArtifactsPublished
from domain.keeping import JobFate
from service.admission.credentials import OPERATOR
from service.vm_queries import get_vm
from tests.fakes.factory import World
from tests.fakes.keeping import FakeOpenJobs
from tests.fakes.objects import FakeObjectStore
from tests.fakes.recording import FakeRecording
from tests.integration.event_store.builders import whole_build
from tests.integration.workflows.test_reconciler import Works
from tests.integration.workflows.vms import Yard, remove
from tests.sandbox import strict_runner
from tests.unit.keeping.test_collection import Reads
from workflows import policies
from workflows.catalog import WORKFLOWS
from workflows.collect import CollectWorkflow
from workflows.signals import SturdySignals

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

OLD = datetime(2020, 1, 1, tzinfo=UTC)
LOST = "blobs/" + "cd" * 32


class _Room:
    """A host's store with one old file."""

    def __init__(self) -> None:
        self.dry: list[bool] = []

    async def evict(self, *, dry_run: bool) -> Evicted:
        self.dry.append(dry_run)
        return Evicted(items=(Item("layers and images", Path("x"), 7, 0.0),), kept_bytes=3)


@pytest_asyncio.fixture(loop_scope="session")
async def works(environment: WorkflowEnvironment) -> Works:
    """A core whose clocks run as they do."""
    address = environment.client.service_client.config.target_host
    return Works(await Client.connect(address, data_converter=pydantic_data_converter))


class _Engine:
    """One host is up."""

    async def ended(self, workflow_id: str) -> Ended | None:
        raise AssertionError(workflow_id)

    async def ended_early(self, since: datetime) -> tuple[str, ...]:
        raise AssertionError(since)

    async def request_of(self, workflow_id: str) -> dict[str, Any]:
        raise AssertionError(workflow_id)

    async def hosts(self) -> tuple[str, ...]:
        return ("host:room",)


def _finished(recording: FakeRecording, build_id: uuid.UUID) -> None:
    """Have a build that ended with a file."""
    first, *rest = whole_build(build_id)
    artifact = Artifact.model_validate({"kind": "iso", "name": "x.iso", "blob": {"digest": "ab" * 32, "bytes": 5}})
    published = ArtifactsPublished(
        build_id=str(build_id), org_id="org-a", at=first.at, generation=0, artifacts=(artifact,)
    )
    recording.streams[str(build_id)] = [first, published, *rest]


async def test_files_expire_objects_go_and_hosts_make_room(environment: WorkflowEnvironment) -> None:
    client, store, room, recording = environment.client, FakeObjectStore(), _Room(), FakeRecording()
    store.now = lambda: OLD
    await store.put(LOST, b"12345")
    build = uuid.uuid4()
    _finished(recording, build)
    collection = CollectionActivities(Reads(fates=(JobFate(job_id=str(build), plan="guest", ended_at=OLD),)), store)
    keeping = KeepingActivities(FakeOpenJobs(), _Engine())
    core = Worker(
        client,
        task_queue=policies.CORE_QUEUE,
        workflows=list(WORKFLOWS),
        activities=[*keeping.all(), *collection.all(), recording.record_build],
        interceptors=[TypedFailures(), SturdySignals()],
        workflow_runner=strict_runner(),
    )
    collect = CollectStoreActivities("room", room)  # pyright: ignore[reportArgumentType] - a fake room
    async with core, Worker(client, task_queue="host:room", activities=[collect.collect_store]):
        dry = await client.execute_workflow(
            CollectWorkflow.run, CollectInput(dry_run=True), id=f"dry-{build}", task_queue=policies.CORE_QUEUE
        )
        assert LOST in store.objects
        assert recording.state(str(build)).expired is None
        done = await client.execute_workflow(
            CollectWorkflow.run, CollectInput(), id=f"wet-{build}", task_queue=policies.CORE_QUEUE
        )
    assert LOST not in store.objects
    assert (dry.gone, dry.expired) == (done.gone, done.expired)
    assert {gone.where: gone.bytes for gone in done.gone} == {"object store": 5, "room": 7}
    assert room.dry == [True, False]
    expired = recording.state(str(build)).expired
    assert expired is not None
    assert expired.reason == "The plan guest keeps images and files for 1 day."


async def _kept(histories: HistoryActivities, prefix: str) -> HistoriesKept:
    """Keep histories until that of one workflow is among them: the engine's lists lag."""
    async with asyncio.timeout(30):
        while True:
            kept = await ActivityEnvironment().run(histories.keep_histories, KeepHistories(limit=1000))
            if await histories.objects.list(prefix):
                return kept
            await asyncio.sleep(0.2)


async def test_the_history_of_a_closed_run_is_kept_once_and_replays(works: Works) -> None:
    store = FakeObjectStore()
    histories = HistoryActivities(TemporalHistories(works.client), store)
    async with works.working():
        build_id, handle = await works.build()
        await asyncio.wait_for(handle.result(), 60)
    environment = ActivityEnvironment()
    prefix = f"histories/build-{build_id}/"
    kept = await _kept(histories, prefix)
    [info] = await store.list(prefix)
    data = store.objects[info.key]
    assert info.key.endswith(f"-{hashlib.sha256(data).hexdigest()}.json.gz")
    history = read_history(gzip.decompress(data))
    assert history.workflow_id == f"build-{build_id}" or history.workflow_type == "BuildWorkflow"
    assert await find_divergence(history, WORKFLOWS) is None
    assert kept.until is not None
    again = await environment.run(histories.keep_histories, KeepHistories(since=kept.until - timedelta(hours=1)))
    assert again.kept == 0


async def test_the_history_of_a_deleted_machine_is_kept_linked_and_replays(environment: WorkflowEnvironment) -> None:
    world, yard = World(), Yard(environment.client)
    histories = HistoryActivities(TemporalHistories(environment.client), world.objects)
    async with yard.running("one"):
        vm_id = await yard.ready()
        await remove(yard, vm_id)
    await _kept(histories, f"histories/vm-{vm_id}/")
    state = yard.recording.state(vm_id)
    world.reads.vms[vm_id] = state
    owner = OPERATOR.model_copy(update={"org_id": state.org_id})
    [link] = (await get_vm(world.factory, owner, vm_id)).histories
    [data] = [data for key, data in world.objects.objects.items() if key.startswith(f"histories/vm-{vm_id}/")]
    assert (link.bytes, link.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert await find_divergence(read_history(gzip.decompress(data)), WORKFLOWS) is None
