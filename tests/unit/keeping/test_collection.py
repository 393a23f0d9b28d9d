"""What the collection removes, and what it never does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.keeping.collect_models import CollectInput, SweepInput
from activities.keeping.collection import CollectionActivities
from activities.swept import Swept
from domain.errors import Fault
from domain.keeping import GRACE, HALF_DONE_GRACE, JobFate, References
from infra.ports import ObjectInfo
from tests.fakes.objects import FakeObjectStore
from workflows import policies

NOW = datetime(2030, 1, 2, tzinfo=UTC)
OLD = NOW - timedelta(days=60)
JOB = "11111111-1111-4111-8111-111111111111"
DIGEST, OTHER = "ab" * 32, "cd" * 32


@dataclass
class Reads:
    """What is referred to, as a test says."""

    digests: frozenset[str] = frozenset()
    fates: tuple[JobFate, ...] = ()
    shown: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    asked: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    async def references(self, *, without: Sequence[str] = ()) -> References:
        self.asked.append(tuple(without))
        return References(digests=self.digests, jobs={fate.job_id: fate for fate in self.fates}, shown=self.shown)

    async def builds_with_files(self) -> tuple[JobFate, ...]:
        return self.fates


@pytest.fixture
def store() -> FakeObjectStore:
    return FakeObjectStore()


async def put(store: FakeObjectStore, *keys: str, at: datetime = OLD) -> None:
    store.now = lambda: at
    for key in keys:
        await store.put(key, b"12345")
    store.now = lambda: NOW


async def swept(store: FakeObjectStore, reads: Reads, *, dry_run: bool = False) -> Swept:
    activities = CollectionActivities(reads, store, now=lambda: NOW)
    return await ActivityEnvironment().run(activities.sweep_objects, SweepInput(dry_run=dry_run))


def fate(*, plan: str = "free", days: int | None = None, deleted: bool = False) -> JobFate:
    ended = None if days is None else NOW - timedelta(days=days)
    return JobFate(job_id=JOB, plan=plan, ended_at=ended, deleted=deleted)


async def test_what_nobody_refers_to_goes_and_what_somebody_does_stays(store: FakeObjectStore) -> None:
    await put(store, f"blobs/{DIGEST}", f"blobs/{OTHER}", "somebody/elses")
    found = await swept(store, Reads(digests=frozenset({DIGEST})))
    assert set(store.objects) == {f"blobs/{DIGEST}", "somebody/elses"}
    [gone] = found.gone
    assert (gone.kind, gone.count, gone.bytes) == ("blobs", 1, 5)
    assert (found.kept, found.kept_bytes) == (1, 5)
    assert (await swept(store, Reads(digests=frozenset({DIGEST})))).gone == ()


async def test_a_dry_run_says_the_same_and_removes_nothing(store: FakeObjectStore) -> None:
    await put(store, f"blobs/{OTHER}")
    dry = await swept(store, Reads(), dry_run=True)
    assert f"blobs/{OTHER}" in store.objects
    assert (await swept(store, Reads())).gone == dry.gone


async def test_an_upload_that_just_ended_is_left_alone_until_its_grace_is_over(store: FakeObjectStore) -> None:
    await put(store, f"blobs/{OTHER}", at=NOW - GRACE + timedelta(seconds=1))
    assert (await swept(store, Reads())).gone == ()


async def test_an_object_that_is_written_anew_while_the_sweep_goes_on_stays(
    store: FakeObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, f"blobs/{OTHER}")
    listed = store.list

    async def list_and_write(prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        found = await listed(prefix, after=after, limit=limit)
        for info in found:
            await store.put(info.key, b"12345")
        return found

    monkeypatch.setattr(store, "list", list_and_write)
    assert (await swept(store, Reads())).gone == ()
    assert f"blobs/{OTHER}" in store.objects


@pytest.mark.parametrize(
    ("of", "stays"),
    [
        (None, False),
        (fate(), True),
        (fate(days=29), True),
        (fate(days=31), False),
        (fate(plan="operator", days=3000), True),
        (fate(days=2, deleted=True), False),
    ],
)
async def test_logs_evidence_and_histories_are_kept_as_long_as_the_plan_says(
    store: FakeObjectStore, of: JobFate | None, *, stays: bool
) -> None:
    keys = (
        f"logs/{JOB}/00.0-resolve/0001/00000001",
        f"evidence/{JOB}/0/of/serial.log",
        f"histories/build-{JOB}/1.json.gz",
    )
    await put(store, *keys)
    await swept(store, Reads(fates=() if of is None else (of,)))
    assert set(store.objects) == (set(keys) if stays else set())


async def test_screens_that_a_report_shows_outlive_their_machine_for_as_long_as_the_runs_plan_says(
    store: FakeObjectStore,
) -> None:
    shown = {f"screens/{JOB}/{run}.png": (run,) for run in ("kept", "over", "deleted with its run")}
    await put(store, *shown, f"screens/{JOB}/nobody.png")
    runs = (
        JobFate(job_id="kept", plan="free", ended_at=NOW - timedelta(days=29)),
        JobFate(job_id="over", plan="free", ended_at=NOW - timedelta(days=31)),
    )
    await swept(store, Reads(fates=runs, shown=shown))
    assert set(store.objects) == {f"screens/{JOB}/kept.png"}


async def test_parts_of_an_upload_stay_while_it_goes_on(store: FakeObjectStore) -> None:
    await put(store, f"uploads/{JOB}/{0:020d}")
    assert (await swept(store, Reads(fates=(fate(),)))).gone == ()
    assert (await swept(store, Reads(fates=(fate(days=1),)))).gone[0].reason == "the upload is over"


async def test_uploads_that_died_half_way_are_given_up_when_none_that_lives_can_be_as_old(
    store: FakeObjectStore,
) -> None:
    old, young = NOW - GRACE - timedelta(seconds=1), NOW - GRACE + timedelta(minutes=1)
    store.half_done = [
        ObjectInfo(key=f"blobs/{DIGEST}", bytes=16, modified=old),
        ObjectInfo(key=f"blobs/{OTHER}", bytes=32, modified=old),
        ObjectInfo(key=f"blobs/{OTHER}", bytes=64, modified=young),
        ObjectInfo(key="somebody/elses", bytes=128, modified=old),
    ]
    references = Reads(digests=frozenset({DIGEST}))
    dry = await swept(store, references, dry_run=True)
    assert len(store.half_done) == 4
    [gone] = (await swept(store, references)).gone
    assert (gone,) == dry.gone
    assert (gone.kind, gone.count, gone.bytes) == ("parts of half-done uploads", 2, 48)
    assert [info.bytes for info in store.half_done] == [64, 128]
    assert (await swept(store, references)).gone == ()


async def test_a_store_that_does_not_tell_of_half_done_uploads_loses_its_objects_all_the_same(
    store: FakeObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> tuple[ObjectInfo, ...]:
        raise Fault.because("objects.unavailable", "AccessDenied")

    await put(store, f"blobs/{OTHER}")
    monkeypatch.setattr(store, "abort_uploads", refused)
    found = await swept(store, Reads())
    assert [gone.kind for gone in found.gone] == ["blobs"]
    assert found.notes == ("half-done uploads: AccessDenied",)


def test_no_upload_takes_as_long_as_a_half_done_one_is_left_alone() -> None:
    uploading = (policies.STEP_LIMIT["publish"], policies.IMPORT_LIMIT)
    assert 2 * max(uploading) < HALF_DONE_GRACE


async def test_files_expire_when_their_plan_says_so() -> None:
    fates = (fate(days=8), JobFate(job_id="kept", plan="operator", ended_at=OLD), JobFate(job_id="going", plan="guest"))
    activities = CollectionActivities(Reads(fates=fates), FakeObjectStore(), now=lambda: NOW)
    found = await ActivityEnvironment().run(activities.find_expired, CollectInput())
    assert [build.build_id for build in found.builds] == [JOB]
    assert found.builds[0].reason == "The plan free keeps images and files for 7 days."
