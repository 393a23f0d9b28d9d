"""Scheduled rebuilds on a real Temporal server: its own schedule, the looks that it starts, and their builds."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, ScheduleHandle, ScheduleUpdate, ScheduleUpdateInput, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import TypedFailures
from activities.imaging.models import CompareInput, CompareResult
from activities.keeping.activities import KeepingActivities
from activities.keeping.rebuilds import RebuildActivities
from activities.keeping.temporal_engine import TemporalEngine
from activities.keeping.temporal_timetable import TemporalTimetable
from activities.record_models import RECORD_REBUILD, RecordRebuildInput, RecordResult
from domain.build.commands import BuildCommand, CancelBuild, CloseRetryWindow, DeleteBuild, FailBuild
from domain.build.compare import PackageChange
from domain.build.decide import decide as decide_build
from domain.build.events import ArtifactsExpired, BuildCompleted
from domain.build.state import BuildState
from domain.build.state import fold as fold_build
from domain.errors import Fault, Problem, Verdict
from domain.rebuild.commands import AnyRebuildCommand, ChangeSchedule, CreateSchedule, DeleteSchedule
from domain.rebuild.decide import decide
from domain.rebuild.events import RebuildEvent
from domain.rebuild.facts import RebuildFacts, Times, facts_of
from domain.rebuild.inputs import Look, Timing
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

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

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


@pytest_asyncio.fixture(loop_scope="session")
async def office(environment: WorkflowEnvironment) -> AsyncGenerator[Office]:
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


async def test_a_schedule_is_in_the_timetable_as_the_log_has_it(office: Office) -> None:
    entry = await office.entry()
    assert entry.schedule.spec.intervals[0].every.total_seconds() == 86_400
    assert await office.rebuilds.next_look(office.schedule_id) is not None
    pause = ChangeSchedule(command_id="c", requested_by="me", paused=True)
    await office.rebuilds.change(office.past.state, pause)
    assert office.past.state.paused
    assert (await office.entry()).schedule.state.paused
    assert await office.rebuilds.next_look(office.schedule_id) is None


async def test_an_entry_that_is_gone_is_made_again(office: Office) -> None:
    await office.settled()
    await office.handle.delete()
    assert await office.rebuilds.next_look(office.schedule_id) is None
    await office.mended()
    assert await office.rebuilds.next_look(office.schedule_id) is not None
    assert (await office.look()).outcome == "unchanged"
    await office.settled()


async def test_an_entry_that_differs_follows_the_log(office: Office) -> None:
    times = ChangeSchedule(command_id="c", requested_by="me", timing=Timing(every=7200, jitter=60), paused=True)
    office.past.stream.extend(decide(office.past.state, times, now=datetime.now(UTC)))  # recorded, never applied
    assert (await office.reconcile()).mended == (office.schedule_id,)
    entry = (await office.entry()).schedule
    assert entry.state.paused
    assert [spec.every.total_seconds() for spec in entry.spec.intervals] == [7200]
    assert entry.spec.jitter.total_seconds() == 60
    await office.settled()

    def other(known: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = known.description.schedule
        schedule.spec.jitter = None
        return ScheduleUpdate(schedule=schedule)

    await office.handle.update(other)
    await office.mended()
    assert (await office.entry()).schedule.spec.jitter.total_seconds() == 60


async def test_the_entry_of_a_deleted_schedule_is_removed(office: Office) -> None:
    await office.settled()
    end = DeleteSchedule(command_id="d", requested_by="me")
    office.past.stream.extend(decide(office.past.state, end, now=datetime.now(UTC)))
    assert (await office.reconcile()).mended == (office.schedule_id,)
    assert await office.rebuilds.next_look(office.schedule_id) is None
    with pytest.raises(RPCError, match="not found"):
        await office.entry()
    await office.settled()


async def test_a_change_that_is_late_does_not_undo_a_later_one(office: Office) -> None:
    pause = ChangeSchedule(command_id="later", requested_by="me", paused=True)
    before = office.past.state
    office.past.meanwhile = [pause]  # recorded by another one just when the first has read the log
    await office.rebuilds.change(before, ChangeSchedule(command_id="c", requested_by="me", timing=Timing(every=7200)))
    assert office.past.state.paused
    entry = (await office.entry()).schedule
    assert entry.state.paused
    assert entry.spec.intervals[0].every.total_seconds() == 7200


async def test_without_updates_nothing_is_built(office: Office) -> None:
    look = await office.look()
    assert (look.outcome, look.build_id) == ("unchanged", None)
    assert not office.past.builds.streams


async def test_an_update_starts_one_build_that_says_why(office: Office) -> None:
    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    look = await office.look()
    assert look.outcome == "started"
    assert look.build_id is not None
    build = office.past.builds.state(look.build_id)
    assert build.why == "1 of 200 packages changed since build before: openssl 3.0.1 → 3.0.2"
    assert build.requested_by == "schedule of operator"
    assert build.plan == office.past.state.plan  # which keeps its files, and is asked for its quota
    again = await office.look()
    assert (again.outcome, again.build_id) == ("already_building", look.build_id)
    assert len(office.past.builds.streams) == 1


async def started(office: Office) -> str:
    """Have it start a build for an update."""
    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    look = await office.look()
    assert (look.outcome, look.changed) == ("started", 1)
    assert look.build_id is not None
    return look.build_id


def failure(cause: Literal["verdict", "fault"], code: str) -> FailBuild:
    problems = (Problem(code=code, message="no"),)
    return FailBuild(step="resolve", generation=0, cause=cause, problems=problems, retry_seconds=600)


CANCEL = CancelBuild(requested_by="operator", reason="not now")
DELETE = DeleteBuild(requested_by="operator", reason="no longer needed")
WHY = "1 of 200 packages changed since build before: openssl 3.0.1 → 3.0.2"


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((failure("fault", "mirror.unreachable"),), "failed in step resolve (mirror.unreachable)"),
        ((failure("fault", "queue.full"), CloseRetryWindow()), "failed in step resolve (queue.full)"),
        ((CANCEL,), "was cancelled"),
        ((CANCEL, DELETE), "was deleted"),
    ],
)
async def test_after_a_passing_end_the_same_packages_are_built_at_the_next_look(
    office: Office, ends: tuple[BuildCommand, ...], words: str
) -> None:
    build_id = await started(office)
    for command in ends:
        office.past.tell(build_id, command)
    again = await office.look()
    assert (again.outcome, again.summary) == ("started", f"{WHY}; build {build_id}, started for these before, {words}")
    assert again.build_id not in {None, build_id}
    assert (await office.look()).outcome == "already_building"


async def test_packages_that_got_a_verdict_wait_for_other_ones(office: Office) -> None:
    build_id = await started(office)
    office.past.tell(build_id, failure("verdict", "package.conflict"))
    words = f"build {build_id} was started for these packages and failed in step resolve (package.conflict)"
    for _ in range(2):
        look = await office.look()
        assert (look.outcome, look.build_id, look.summary) == ("already_tried", build_id, words)
    office.past.tell(build_id, CANCEL)  # which tidies up, and mends nothing
    assert (await office.look()).outcome == "already_tried"
    office.past.found = CompareResult(packages="p3", total=200, changed=1, changes=(UPDATE,))
    assert (await office.look()).summary == WHY


async def test_a_build_that_the_log_refused_is_asked_for_again(office: Office) -> None:
    office.past.found = CompareResult(packages="p2", total=200, changed=1, changes=(UPDATE,))
    office.past.builds.refusal = Verdict.because("quota.builds", "no more today")
    refused = await office.look()
    assert refused.build_id is not None
    with pytest.raises(WorkflowFailureError):
        await office.client.get_workflow_handle(f"build-{refused.build_id}").result()
    office.past.builds.refusal = None
    assert (await office.look()).summary == (
        f"{WHY}; build {refused.build_id}, started for these before, was never recorded"
    )


@pytest.mark.parametrize("manifest", [None, "swept"])
async def test_a_list_of_packages_that_is_gone_is_called_that(office: Office, manifest: str | None) -> None:
    office.past.manifest = manifest
    office.past.found = CompareResult(packages="p1", total=200, changed=200, gone=manifest is not None)
    look = await office.look()
    assert (look.outcome, look.changed, look.summary) == ("started", 0, "the list of packages of build before is gone")


async def test_files_that_expired_are_not_made_again_without_updates(office: Office) -> None:
    build_id = await started(office)
    stream = office.past.builds.streams[build_id]
    same: dict[str, Any] = {"build_id": build_id, "org_id": "local", "at": datetime.now(UTC)}
    stream += [BuildCompleted(**same, seconds=1.0), ArtifactsExpired(**same, reason="old")]
    office.past.found = CompareResult(packages="p2", total=200, changed=200)
    look = await office.look()
    assert (look.outcome, look.summary) == (
        "unchanged",
        f"build {build_id} was started for these 200 packages and completed",
    )
    office.past.found = CompareResult(packages="p3", total=200, changed=200)
    look = await office.look()
    assert (look.outcome, look.summary) == ("started", f"the list of packages of build {build_id} is gone")


async def test_a_recipe_that_was_never_built_is_built(office: Office) -> None:
    office.past.last_build = None
    look = await office.look()  # finding no change: there is nothing to compare with
    assert (look.outcome, look.summary) == (
        "started",
        "there is no completed build of this recipe; it has 200 packages",
    )


async def test_a_build_under_way_is_not_joined_by_another(office: Office) -> None:
    office.past.building = "running"
    look = await office.look()
    assert (look.outcome, look.build_id) == ("already_building", "running")


async def test_a_mirror_that_does_not_answer_is_asked_again(office: Office) -> None:
    office.past.failures = [Fault.because("mirror.unreachable", "no answer")]
    assert (await office.look()).outcome == "unchanged"
