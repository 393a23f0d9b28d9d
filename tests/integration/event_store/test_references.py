"""What the real read models refer to, and which builds' files may expire."""

from collections.abc import Generator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.artifacts import Artifact, Blob
from domain.build.commands import RequestBuild
from domain.build.decide import decide as decide_build
from domain.build.events import (
    ArtifactsExpired,
    ArtifactsPublished,
    BuildCancelled,
    BuildCompleted,
    BuildDeleted,
    BuildFailed,
    RetryWindowClosed,
)
from domain.build.inputs import BuildRequest
from domain.errors import Fault, Problem
from domain.image.events import ImageRequested
from domain.image.inputs import ImageRequest
from domain.test_run.commands import RequestRun
from domain.test_run.decide import decide as decide_run
from domain.test_run.events import RunReported
from domain.test_run.inputs import RunRequest
from domain.test_run.results import KeptFile
from domain.vm.commands import RequestVm
from domain.vm.decide import decide
from event_store import references
from event_store.connections import connect
from event_store.log import EventLog
from event_store.projector import Feeds
from event_store.references import ReferenceReads
from event_store.schema import Migrated
from tests.fakes.suites import plan_of_cases
from tests.integration.event_store.builders import START, append, cause, requested, whole_build
from tests.machines import image, request

pytestmark = pytest.mark.integration

A, B, C, D = "aa" * 32, "bb" * 32, "cc" * 32, "dd" * 32


@pytest.fixture
def log(database: Migrated) -> Generator[EventLog]:
    with EventLog(database.owner_url) as opened:
        yield opened


async def shown(database: Migrated) -> None:
    """Have the read models show all that the log holds."""
    async with await connect(database.owner_url, "test") as connection:
        await Feeds().advance(connection)


def built(log: EventLog, digest: str) -> UUID:
    build_id = uuid4()
    artifact = Artifact.model_validate({"kind": "iso", "name": "x.iso", "blob": {"digest": digest, "bytes": 5}})
    first, *rest = whole_build(build_id)
    published = ArtifactsPublished(
        build_id=str(build_id), org_id="org-a", at=START, generation=0, artifacts=(artifact,)
    )
    append(log, first, published, *rest)
    return build_id


def machine_of(log: EventLog, source: UUID, digest: str) -> None:
    vm_id = str(uuid4())
    asked = request(vm_id, image=image(digest=digest, source_id=str(source)))
    events = decide(None, RequestVm(request=asked), now=START)
    log.append(UUID(vm_id), cause(), lambda _: events)


async def test_a_blob_is_referred_to_by_builds_machines_and_uploads(database: Migrated, log: EventLog) -> None:
    kept, expired, deleted = built(log, A), built(log, B), built(log, C)
    append(log, ArtifactsExpired(build_id=str(expired), org_id="org-a", at=START, reason="old"))
    append(log, BuildDeleted(build_id=str(deleted), org_id="org-a", at=START, requested_by="me", reason="old"))
    upload = ImageRequest(
        image_id=str(uuid4()), org_id="org-b", requested_by="me", name="x", format="iso", bytes=1, sha256=D
    )
    asked = ImageRequested(image_id=upload.image_id, org_id="org-b", at=START, request=upload, upload_until=START)
    log.append(UUID(upload.image_id), cause(), lambda _: (asked,))
    await shown(database)
    reads = ReferenceReads(database.owner_url)
    found = await reads.references()
    assert found.digests == {A, D}
    assert found.jobs[str(deleted)].deleted
    assert found.jobs[str(kept)].ended_at == START + timedelta(minutes=1)
    assert found.jobs[upload.image_id].ended_at is None
    assert (await reads.references(without=(str(kept),))).digests == {D}
    machine_of(log, deleted, C)
    await shown(database)
    assert (await reads.references()).digests == {A, C, D}


async def test_evidence_is_kept_from_the_end_of_a_build_and_not_from_when_its_files_expired(
    database: Migrated, log: EventLog
) -> None:
    build, reads = built(log, A), ReferenceReads(database.owner_url)
    later = {"build_id": str(build), "org_id": "org-a"}
    append(log, ArtifactsExpired.model_validate({**later, "at": START + timedelta(days=90), "reason": "old"}))
    await shown(database)
    assert (await reads.references()).jobs[str(build)].ended_at == START + timedelta(minutes=1)
    gone = {"at": START + timedelta(days=100), "requested_by": "me", "reason": "old"}
    append(log, BuildDeleted.model_validate({**later, **gone}))
    await shown(database)
    assert (await reads.references()).jobs[str(build)].ended_at == START + timedelta(days=100)


def build_again(log: EventLog, lock: str) -> UUID:
    build_id = uuid4()
    asked = BuildRequest(
        build_id=str(build_id),
        org_id="org-a",
        requested_by="me",
        recipe={"name": "web"},
        rerun_of=str(uuid4()),
        lock=Blob(digest=lock, bytes=5),
    )
    append(log, *decide_build(None, RequestBuild(request=asked), now=START))
    return build_id


async def test_the_lock_of_an_earlier_build_is_referred_to_until_the_build_that_takes_it_again_is_over(
    database: Migrated, log: EventLog
) -> None:
    earlier = built(log, A)
    waiting, parked, given_up, done = (build_again(log, lock) for lock in (A, B, C, D))
    append(log, BuildDeleted(build_id=str(earlier), org_id="org-a", at=START, requested_by="me", reason="old"))
    problem = Problem(code="mirror.unreachable", message="m")
    for build in (parked, given_up):
        failed = BuildFailed(
            build_id=str(build),
            org_id="org-a",
            at=START,
            step="resolve",
            generation=0,
            kind="fault",
            problems=(problem,),
            retry_until=START + timedelta(days=7),
        )
        append(log, failed)
    append(log, RetryWindowClosed(build_id=str(given_up), org_id="org-a", at=START))
    append(log, BuildCompleted(build_id=str(done), org_id="org-a", at=START, seconds=1.0))
    await shown(database)
    reads = ReferenceReads(database.owner_url)
    assert (await reads.references()).digests == {A, B}
    cancelled = BuildCancelled(build_id=str(waiting), org_id="org-a", at=START, requested_by="me", reason="r")
    append(log, cancelled)
    await shown(database)
    assert (await reads.references()).digests == {B}


async def test_each_job_is_kept_as_its_own_plan_says(database: Migrated, log: EventLog) -> None:
    run_id, image_id = str(uuid4()), str(uuid4())
    run = RunRequest(
        run_id=run_id, org_id="o", requested_by="me", account="free", input_digest="d", plan=plan_of_cases("web")
    )
    asked = decide_run(None, RequestRun(request=run), now=START)
    log.append(UUID(run_id), cause(), lambda _: asked)
    upload = ImageRequest(
        image_id=image_id, org_id="o", requested_by="me", account="pro", name="x", format="iso", bytes=1, sha256=D
    )
    announced = ImageRequested(image_id=image_id, org_id="o", at=START, request=upload, upload_until=START)
    log.append(UUID(image_id), cause(), lambda _: (announced,))
    await shown(database)
    jobs = (await ReferenceReads(database.owner_url).references()).jobs
    assert (jobs[run_id].plan, jobs[image_id].plan) == ("free", "pro")


async def test_screenshots_are_referred_to_by_the_runs_that_show_them(database: Migrated, log: EventLog) -> None:
    runs = sorted(str(uuid4()) for _ in range(2))
    for run_id in runs:
        run = RunRequest(
            run_id=run_id, org_id="o", requested_by="me", account="free", input_digest="d", plan=plan_of_cases("web")
        )
        files = (KeptFile(name="a.png", key="screens/vm/a.png"), KeptFile(name="report.xml", key=f"reports/{run_id}/x"))
        events = (
            *decide_run(None, RequestRun(request=run), now=START),
            RunReported(run_id=run_id, org_id="o", at=START, files=files),
        )
        log.append(UUID(run_id), cause(), lambda _, events=events: events)
    await shown(database)
    found = (await ReferenceReads(database.owner_url).references()).shown
    assert {key: sorted(showing) for key, showing in found.items()} == {"screens/vm/a.png": runs}


async def test_files_that_a_machine_uses_do_not_expire(database: Migrated, log: EventLog) -> None:
    free, used = built(log, A), built(log, B)
    append(log, requested(uuid4()))
    machine_of(log, used, B)
    await shown(database)
    assert [fate.job_id for fate in await ReferenceReads(database.owner_url).builds_with_files()] == [str(free)]


async def test_nothing_is_said_while_the_read_models_lag(
    database: Migrated, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_CAUGHT_UP_SECONDS", 0.3)
    built(log, A)
    with pytest.raises(Fault, match=r"projection\.behind"):
        await ReferenceReads(database.owner_url).references()
