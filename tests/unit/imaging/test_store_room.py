"""Room on a host: the budget, the watermark, and what must not go."""

import os
import time
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.imaging.assembly_index import Assembly, AssemblyIndex
from activities.imaging.collect_activities import CollectStoreActivities
from activities.imaging.solutions import Question, Solutions
from activities.imaging.store import LayerIndex, LocalBlobStore
from activities.imaging.store_room import StoreRoom
from activities.swept import StoreInput
from domain.artifacts import Artifact, Blob, Layer
from domain.errors import Fault
from infra.settings import DiskSettings

HUGE = 1 << 60


def put(home: Path, digit: str, *, hours: float, kind: str = "store") -> Path:
    name = digit * 64
    path = home / "store" / name[:2] / name if kind == "store" else home / "cache" / "debs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))
    return path


def room(home: Path, *, budget: int, watermark: int = 0, in_use: frozenset[str] = frozenset()) -> StoreRoom:
    return StoreRoom(home, DiskSettings(store_bytes=budget, watermark_bytes=watermark), lambda: in_use)


async def test_within_its_budget_nothing_goes(tmp_path: Path) -> None:
    put(tmp_path, "a", hours=1000)
    assert (await room(tmp_path, budget=1000).evict(dry_run=False)).items == ()


async def test_over_its_budget_the_longest_unwanted_goes_first_and_no_more_than_needed(tmp_path: Path) -> None:
    oldest, older, recent = (put(tmp_path, d, hours=h) for d, h in (("a", 90), ("b", 80), ("c", 70)))
    deb = put(tmp_path, "d", hours=95, kind="cache")
    dry = await room(tmp_path, budget=2000).evict(dry_run=True)
    assert [item.path for item in dry.items] == [deb, oldest]
    assert oldest.exists()
    done = await room(tmp_path, budget=2000).evict(dry_run=False)
    assert done == dry
    assert (oldest.exists(), deb.exists(), older.exists(), recent.exists()) == (False, False, True, True)
    assert done.kept_bytes == 2000
    assert (await room(tmp_path, budget=2000).evict(dry_run=False)).items == ()


async def test_what_a_machine_is_made_of_and_what_was_just_wanted_stays(tmp_path: Path) -> None:
    base = put(tmp_path, "a", hours=1000)
    fresh = put(tmp_path, "b", hours=1)
    touched = put(tmp_path, "c", hours=1000)
    assert LocalBlobStore(tmp_path).has(Blob(digest="c" * 64, bytes=1000))
    await room(tmp_path, budget=0, in_use=frozenset({"a" * 64})).evict(dry_run=False)
    assert (base.exists(), fresh.exists(), touched.exists()) == (True, True, True)


def known(home: Path, digit: str, *, hours: float) -> list[Path]:
    """Have each index know the blob of this digit since so many hours."""
    blob, store = Blob(digest=digit * 64, bytes=1000), LocalBlobStore(home)
    question = Question(suite="s", arch="a", wanted=(), system=(), mirrors={}, index=digit, tools={}, sources="x")
    LayerIndex(home, store).record(Layer(kind="base", key=digit * 64, blob=blob))
    artifact = Artifact.model_validate({"kind": "iso", "name": "x.iso", "blob": blob.model_dump()})
    AssemblyIndex(home, store).record(Assembly(key=digit * 64, artifacts=(artifact,)))
    Solutions(home, store).record(question, blob)
    names = {"layers": digit * 64, "assemblies": digit * 64, "solutions": question.key}
    paths = [home / folder / f"{name}.json" for folder, name in names.items()]
    moment = time.time() - hours * 3600
    for path in paths:
        os.utime(path, (moment, moment))
    return paths


async def test_records_of_what_has_gone_go_too(tmp_path: Path) -> None:
    put(tmp_path, "a", hours=90)
    put(tmp_path, "b", hours=80)
    evicted, kept, lost = (known(tmp_path, digit, hours=95) for digit in "abc")
    young = known(tmp_path, "d", hours=1)
    broken = tmp_path / "layers" / f"{'e' * 64}.json"
    broken.write_bytes(b"{")
    os.utime(broken, (1.0, 1.0))
    dry = await room(tmp_path, budget=1000).evict(dry_run=True)
    assert all(path.exists() for path in (*evicted, *kept, *lost, *young, broken))
    done = await room(tmp_path, budget=1000).evict(dry_run=False)
    assert done == dry
    assert {item.path for item in done.items} == {tmp_path / "store" / "aa" / ("a" * 64), *evicted, *lost, broken}
    assert done.kept_bytes == 1000
    assert not any(path.exists() for path in (*evicted, *lost, broken))
    assert all(path.exists() for path in (*kept, *young))
    assert (await room(tmp_path, budget=1000).evict(dry_run=False)).items == ()


async def test_records_of_what_has_gone_are_told_by_themselves(tmp_path: Path) -> None:
    known(tmp_path, "a", hours=95)
    activities = CollectStoreActivities("here", room(tmp_path, budget=HUGE))
    [gone] = (await ActivityEnvironment().run(activities.collect_store, StoreInput(dry_run=False))).gone
    assert (gone.kind, gone.count, gone.reason) == (
        "records of layers and images",
        3,
        "what it names is no longer in the store",
    )


async def test_a_file_that_is_being_written_is_not_looked_at(tmp_path: Path) -> None:
    part = put(tmp_path, "a", hours=1000).with_name(".fetch-1")
    part.write_bytes(b"x")
    os.utime(part, (1.0, 1.0))
    await room(tmp_path, budget=0).evict(dry_run=False)
    assert part.exists()


async def test_below_the_watermark_new_work_is_refused_after_room_was_made(tmp_path: Path) -> None:
    old = put(tmp_path, "a", hours=3)
    with pytest.raises(Fault, match=r"disk\.low") as refused:
        await room(tmp_path, budget=HUGE, watermark=HUGE).require()
    problem = refused.value.problems[0]
    assert "no new build is started" in problem.message
    assert "openfactory gc" in (problem.next or "")
    assert not old.exists()


async def test_above_the_watermark_new_work_may_begin(tmp_path: Path) -> None:
    old = put(tmp_path, "a", hours=1000)
    await room(tmp_path, budget=HUGE, watermark=1).require()
    assert old.exists()
