"""Which jobs are open, over all organizations, from the real read models."""

from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from activities.record_models import RecordImageInput, RecordTestRunInput, RecordVmInput
from domain.build.events import BuildFailed, RetryWindowClosed, StepStarted
from domain.errors import Problem
from domain.image.commands import AcceptImage, RequestImage
from domain.image.inputs import ImageRequest
from domain.jobs import OpenJob
from domain.test_run.commands import BindMachine, FinishRun, RequestRun
from domain.test_run.inputs import RunRequest
from domain.vm.commands import RecordDeleted, RecordPlaced, RequestVm
from event_store.log import EventLog
from event_store.open_jobs import OpenJobReads
from event_store.rebuild import rebuild_projections
from event_store.schema import Migrated
from tests.fakes.suites import plan_of_cases
from tests.integration.event_store.builders import START, append, requested, whole_build
from tests.machines import request

pytestmark = pytest.mark.integration


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


class _Recorder:
    """Appends as the core worker does."""

    def __init__(self, log: EventLog) -> None:
        self._activities = RecordActivities(log)
        self._environment = ActivityEnvironment()
        self._number = 0

    async def __call__(self, request: RecordVmInput | RecordImageInput | RecordTestRunInput) -> None:
        self._number += 1
        self._environment.info = replace(self._environment.info, activity_id=str(self._number))
        activity: Any = {
            RecordVmInput: self._activities.record_vm,
            RecordImageInput: self._activities.record_image,
            RecordTestRunInput: self._activities.record_test_run,
        }[type(request)]
        await self._environment.run(activity, request)


@pytest.fixture
def recorded(log: EventLog) -> _Recorder:
    return _Recorder(log)


async def jobs(database: Migrated) -> tuple[OpenJob, ...]:
    rebuild_projections(database.owner_url)
    return await OpenJobReads(database.owner_url).all()


async def test_builds_are_open_until_nothing_more_can_happen_to_them(database: Migrated, log: EventLog) -> None:
    going, parked, closed = uuid4(), uuid4(), uuid4()
    append(log, *whole_build(uuid4()))
    problem = Problem(code="x", message="x")
    first = requested(going)
    append(
        log,
        first,
        StepStarted(
            build_id=str(going), org_id="org-a", at=START + timedelta(hours=1), step="boot", generation=0, host="h"
        ),
    )
    for build_id, more in ((parked, False), (closed, True)):
        facts = {"build_id": str(build_id), "org_id": "org-b", "at": START}
        failed = BuildFailed.model_validate(
            {**facts, "step": "resolve", "generation": 0, "kind": "fault", "problems": (problem,), "retry_until": START}
        )
        append(log, requested(build_id, org="org-b", minute=-1), failed)
        if more:
            append(log, RetryWindowClosed.model_validate(facts))
    found = await jobs(database)
    assert [job.job_id for job in found] == [str(parked), str(going)]
    assert found[0].status == "failed"
    assert found[1] == OpenJob(
        kind="build", job_id=str(going), org_id="org-a", status="testing", step="boot", booted=True, host="h"
    )


async def test_the_log_knows_jobs_whatever_became_of_them(
    database: Migrated, log: EventLog, recorded: _Recorder
) -> None:
    done, vm, run, unknown = (str(uuid4()) for _ in range(4))
    append(log, *whole_build(UUID(done)))
    await recorded(RecordVmInput(stream_id=vm, at=START, command=RequestVm(request=request(vm))))
    asked = RunRequest(run_id=run, org_id="org-a", requested_by="t", input_digest="d", plan=plan_of_cases("web"))
    await recorded(RecordTestRunInput(stream_id=run, at=START, command=RequestRun(request=asked)))
    rebuild_projections(database.owner_url)
    known = await OpenJobReads(database.owner_url).recorded([done, vm, run, unknown])
    assert known == {done, vm, run}


async def test_machines_runs_and_uploads_are_open_until_they_end(database: Migrated, recorded: _Recorder) -> None:
    vm, gone, run, over, upload, ready = (str(uuid4()) for _ in range(6))
    for vm_id in (vm, gone):
        await recorded(RecordVmInput(stream_id=vm_id, at=START, command=RequestVm(request=request(vm_id))))
    placed = RecordPlaced(host="h", queue="host:h", token=7)
    await recorded(RecordVmInput(stream_id=vm, at=START, command=placed))
    await recorded(RecordVmInput(stream_id=gone, at=START, command=RecordDeleted(removed=0)))
    plan = plan_of_cases("one")
    for run_id in (run, over):
        asked = RunRequest(run_id=run_id, org_id="org", requested_by="me", input_digest="d", plan=plan)
        await recorded(RecordTestRunInput(stream_id=run_id, at=START, command=RequestRun(request=asked)))
    bound = BindMachine(slot=plan.machines[0].slot, vm_id=vm, owned=True)
    await recorded(RecordTestRunInput(stream_id=run, at=START, command=bound))
    await recorded(RecordTestRunInput(stream_id=over, at=START, command=FinishRun()))
    for image_id in (upload, ready):
        wanted = ImageRequest(
            image_id=image_id, org_id="org", requested_by="me", name="x", format="iso", bytes=1, sha256="ab" * 32
        )
        asked_for = RequestImage(request=wanted, upload_seconds=60.0)
        await recorded(RecordImageInput(stream_id=image_id, at=START, command=asked_for))
    await recorded(RecordImageInput(stream_id=ready, at=START, command=AcceptImage(virtual_bytes=1)))
    found = {job.kind: job for job in await jobs(database)}
    assert {kind: job.job_id for kind, job in found.items()} == {"vm": vm, "test-run": run, "image": upload}
    assert (found["vm"].host, found["vm"].queue, found["vm"].token) == ("h", "host:h", 7)
    assert found["test-run"].machines == (vm,)
    assert UUID(found["image"].job_id)
