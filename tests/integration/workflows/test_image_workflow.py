"""What becomes of an upload when the factory is in trouble, on a real Temporal server."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.imaging.import_models import DiscardInput, DiscardResult, ImportInput, ImportResult
from activities.record_models import RECORD_IMAGE, RecordImageInput, RecordResult
from domain.errors import Fault, Verdict
from domain.image.decide import decide
from domain.image.events import ImageEvent
from domain.image.inputs import ImageRequest
from domain.image.state import ImageStatus, fold
from tests.integration.workflows.test_vm_losses import until
from tests.sandbox import strict_runner
from workflows import policies
from workflows.catalog import WORKFLOWS
from workflows.image import ImageWorkflow
from workflows.image_models import ImageInput, ImageOutcome

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

AWAY = Fault.because("objects.unavailable", "the object store does not answer")
WRONG = Verdict.because("image.digest_mismatch", "the bytes have another SHA-256", next="create_image_upload")


@dataclass
class Gate:
    """The log and a host, for one upload. `failing` says with what and how often the import fails."""

    client: Client
    stream: list[ImageEvent] = field(default_factory=list[ImageEvent])
    failing: tuple[Fault | Verdict, int] = (AWAY, 0)
    tries: int = 0
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    discarded: int = 0

    @activity.defn(name=RECORD_IMAGE)
    async def record_image(self, request: RecordImageInput) -> RecordResult:
        new = decide(fold(tuple(self.stream)), request.command, now=datetime.now(UTC))
        self.stream.extend(new)
        return RecordResult(version=len(self.stream), appended=len(new))

    @activity.defn
    async def import_image(self, _: ImportInput) -> ImportResult:
        self.tries += 1
        if self.tries > 1:
            self.tried.set()
        error, times = self.failing
        if self.tries <= times:
            raise error
        return ImportResult(virtual_bytes=5)

    @activity.defn
    async def discard_upload(self, _: DiscardInput) -> DiscardResult:
        self.discarded += 1
        return DiscardResult(parts=1)

    async def uploaded(self) -> WorkflowHandle[ImageWorkflow, ImageOutcome]:
        """Announce an image and send all of it."""
        request = ImageRequest(
            image_id=str(uuid.uuid4()),
            org_id="org",
            requested_by="me",
            name="x",
            format="iso",
            bytes=5,
            sha256="aa" * 32,
        )
        name = f"image-{request.image_id}"
        start = ImageInput(request=request)
        handle = await self.client.start_workflow(ImageWorkflow.run, start, id=name, task_queue=policies.CORE_QUEUE)
        await handle.signal(ImageWorkflow.received)
        return handle

    def status(self) -> ImageStatus | None:
        state = fold(tuple(self.stream))
        return state.status if state is not None else None


@pytest_asyncio.fixture(loop_scope="session")
async def gate(environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Gate]:
    monkeypatch.setattr(policies.IMPORT, "initial_interval", timedelta(milliseconds=20))
    monkeypatch.setattr(policies.IMPORT, "maximum_interval", timedelta(milliseconds=20))
    made = Gate(environment.client)
    core = Worker(
        made.client,
        task_queue=policies.CORE_QUEUE,
        workflows=list(WORKFLOWS),
        activities=[made.record_image],
        interceptors=[TypedFailures()],
        workflow_runner=strict_runner(),
    )
    host = Worker(
        made.client,
        task_queue=policies.IMAGING_QUEUE,
        activities=[made.import_image, made.discard_upload],
        interceptors=[TypedFailures()],
    )
    async with core, host:
        yield made


async def test_bytes_that_were_sent_outlast_a_store_that_is_away(gate: Gate) -> None:
    gate.failing = (AWAY, 12)
    outcome = await (await gate.uploaded()).result()
    assert (outcome.status, gate.status(), gate.tries) == ("ready", "ready", 13)


async def test_wrong_bytes_are_refused_at_once(gate: Gate) -> None:
    gate.failing = (WRONG, 100)
    outcome = await (await gate.uploaded()).result()
    assert (outcome.status, gate.tries, gate.discarded) == ("rejected", 1, 1)


async def test_an_image_is_deleted_while_its_import_is_tried_again(gate: Gate) -> None:
    gate.failing = (AWAY, 1_000_000)
    handle = await gate.uploaded()
    await asyncio.wait_for(gate.tried.wait(), 30)
    await handle.signal(ImageWorkflow.delete)

    async def deleted() -> bool:
        return gate.status() == "deleted"

    await until(deleted)
    assert (await handle.result()).status == "deleted"
    assert gate.discarded == 1
