"""A rebuild schedule on a real Temporal server: what it is told of the past, and who carries it out."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.client import Client, ScheduleHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.imaging.models import CompareInput, CompareResult
from activities.keeping.activities import KeepingActivities
from activities.keeping.rebuilds import RebuildActivities
from activities.keeping.temporal_engine import TemporalEngine
from activities.keeping.temporal_timetable import TemporalTimetable
from activities.record_models import RECORD_REBUILD, RecordRebuildInput, RecordResult
from domain.build.commands import BuildCommand
from domain.build.compare import PackageChange
from domain.build.decide import decide as decide_build
from domain.build.state import BuildState
from domain.build.state import fold as fold_build
from domain.errors import Fault
from domain.rebuild.commands import AnyRebuildCommand, CreateSchedule, DeleteSchedule
from domain.rebuild.decide import decide
from domain.rebuild.events import RebuildEvent
from domain.rebuild.facts import RebuildFacts, Times, facts_of
from domain.rebuild.inputs import Look
from domain.rebuild.names import temporal_id
from domain.rebuild.state import ScheduleState, fold
from tests.fakes.keeping import FakeOpenJobs
from tests.fakes.rebuilds import kept_schedule
from tests.fakes.recording import FakeRecording
from tests.integration.workflows.test_vm_losses import until
from tests.sandbox import strict_runner
from workflows import policies
from workflows.catalog import WORKFLOWS
from workflows.connect import connected
from workflows.rebuild_client import RebuildClient
from workflows.reconcile import Reconciled, ReconcileWorkflow

UPDATE = PackageChange(name="openssl", before="3.0.1", after="3.0.2")


@dataclass
class Past:
    """The log, and what the packages are."""

    stream: list[RebuildEvent] = field(default_factory=list[RebuildEvent])
    builds: FakeRecording = field(default_factory=FakeRecording)
    building: str | None = None
    last_build: str | None = "before"
    manifest: str | None = "m"
    found: CompareResult = field(default_factory=lambda: CompareResult(packages="p1", total=200))
    failures: list[Fault] = field(default_factory=list[Fault])
    meanwhile: list[AnyRebuildCommand] = field(default_factory=list[AnyRebuildCommand])
    while_solving: Callable[[], Awaitable[None]] | None = None
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> ScheduleState:
        state = fold(tuple(self.stream))
        assert state is not None
        return state

    async def facts(self, schedule_id: str) -> RebuildFacts | None:
        if not self.stream or self.state.deleted or self.state.schedule_id != schedule_id:
            return None
        known = facts_of(self.state, building=self.building, started=self.started)
        if known.last_build is None and self.last_build is not None:
            return known.model_copy(update={"last_build": self.last_build, "manifest": self.manifest})
        return known

    @property
    def started(self) -> BuildState | None:
        """The build that the schedule started last, if it is recorded."""
        return fold_build(tuple(self.builds.streams.get(self.state.last_build or "", ())))

    def tell(self, build_id: str, command: BuildCommand) -> None:
        """Record what becomes of a build, which has no host here."""
        new = decide_build(self.builds.state(build_id), command, now=datetime.now(UTC))
        assert new
        self.builds.streams[build_id].extend(new)

    async def times(self) -> Mapping[str, Times | None]:
        if not self.stream:
            return {}
        times = Times(timing=self.state.timing, paused=self.state.paused)
        return {self.state.schedule_id: None if self.state.deleted else times}

    async def recorded(self, schedule_id: str) -> ScheduleState | None:
        """Tell what the log holds; what `meanwhile` does comes right after it was read."""
        state = self.state if self.stream and self.state.schedule_id == schedule_id else None
        if self.meanwhile:
            self.stream.extend(decide(state, self.meanwhile.pop(), now=datetime.now(UTC)))
        return state

    @activity.defn(name=RECORD_REBUILD)
    async def record_rebuild(self, request: RecordRebuildInput) -> RecordResult:
        new = decide(fold(tuple(self.stream)), request.command, now=request.at)
        self.stream.extend(new)
        if request.command.kind == "record_look":
            self.looked.set()
        return RecordResult(version=len(self.stream), appended=len(new))

    @activity.defn
    async def compare_packages(self, request: CompareInput) -> CompareResult:
        if self.failures:
            raise self.failures.pop()
        if self.while_solving is not None:
            await self.while_solving()
        return self.found


@dataclass
class Office:
    """Core and host, the client, and one schedule."""

    client: Client
    past: Past
    rebuilds: RebuildClient
    schedule_id: str

    async def look(self) -> Look:
        """Have it look now, and return what it found; a build that it started is in the log by then."""
        await until(self.idle)
        self.past.looked.clear()
        await self.rebuilds.look_now(self.schedule_id)
        await asyncio.wait_for(self.past.looked.wait(), 60)
        assert self.past.state.last is not None
        look = self.past.state.last.look
        if look.outcome == "started" and look.build_id is not None and self.past.builds.refusal is None:
            await asyncio.wait_for(self.past.builds.reached(look.build_id, "pending"), 60)
        return look

    async def idle(self) -> bool:
        """Tell whether the timetable knows of no look that goes on: it would skip another one."""
        return not (await self.entry()).info.running_actions

    @property
    def handle(self) -> ScheduleHandle:
        return self.client.get_schedule_handle(temporal_id(self.schedule_id))

    async def entry(self) -> Any:
        return await self.handle.describe()

    async def reconcile(self) -> Reconciled:
        name = f"reconcile-{uuid.uuid4()}"
        run = self.client.execute_workflow(ReconcileWorkflow.run, id=name, task_queue=policies.CORE_QUEUE)
        return await asyncio.wait_for(run, 60)

    async def settled(self) -> None:
        """Reconcile until there is nothing to mend: what lists the entries lags a little."""

        async def agrees() -> bool:
            return not (await self.reconcile()).mended

        await until(agrees)

    async def mended(self) -> None:
        """Reconcile until the entry was mended."""

        async def found() -> bool:
            return self.schedule_id in (await self.reconcile()).mended

        await until(found)


@asynccontextmanager
async def open_office(environment: WorkflowEnvironment) -> AsyncGenerator[Office]:
    """A schedule, made as callers make one."""
    address = environment.client.service_client.config.target_host
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    past = Past()
    core = Worker(
        client,
        task_queue=policies.CORE_QUEUE,
        workflows=list(WORKFLOWS),
        activities=[
            past.record_rebuild,
            past.builds.record_build,
            past.builds.find_usual_durations,
            *KeepingActivities(FakeOpenJobs(), TemporalEngine(client)).all(),
            *RebuildActivities(past, TemporalTimetable(client, policies.CORE_QUEUE)).all(),
        ],
        interceptors=[TypedFailures()],
        workflow_runner=strict_runner(),
    )
    host = Worker(
        client,
        task_queue=policies.IMAGING_QUEUE,
        activities=[past.compare_packages],
        interceptors=[TypedFailures()],
    )
    made = Office(client, past, RebuildClient(connected(client)), str(uuid.uuid4()))
    async with core, host:
        await made.rebuilds.create(CreateSchedule(request=kept_schedule(made.schedule_id)))
        yield made
        for build_id in past.builds.streams:
            await client.get_workflow_handle(f"build-{build_id}").terminate("the test is over")
        await made.rebuilds.delete(past.state, DeleteSchedule(command_id="end", requested_by="me"))
