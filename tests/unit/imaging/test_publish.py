"""Publishing a build's files."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from activities.imaging.models import PublishResult
from activities.imaging.publish import ObjectPublisher
from activities.imaging.store import LocalBlobStore
from domain.artifacts import Artifact
from domain.errors import Fault
from infra.ports import ObjectInfo
from tests.fakes.objects import FakeObjectStore, ListsWrongly
from tests.unit.imaging.publishing import JOB, RECIPE, SilentLog, blob_of, image, put_log, request

QCOW2 = b"disk" * 300_000
ISO = b"live" * 1000


class LossyObjectStore(FakeObjectStore):
    """Damages the next `bad` files it is given."""

    def __init__(self, bad: int) -> None:
        super().__init__()
        self.bad = bad

    async def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        await super().put_file(key, path, content_type)
        if self.bad:
            self.bad -= 1
            self.objects[key] = bytes(len(self.objects[key]))


class StuckObjectStore(FakeObjectStore):
    """Never ends listing."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> tuple[ObjectInfo, ...]:
        self.reached.set()
        await asyncio.Event().wait()
        return ()


class Bench:
    """A host with two finished images, and an object store."""

    def __init__(self, home: Path, objects: FakeObjectStore) -> None:
        self.home = home
        self.objects = objects
        self.store = LocalBlobStore(home)
        self.log = SilentLog()

    def publisher(self) -> ObjectPublisher:
        """The publisher of a worker that has just started."""
        return ObjectPublisher(self.home, self.store, self.objects, version="1.2.3")

    async def images(self) -> tuple[Artifact, ...]:
        return await image(self.store, self.home, "qcow2", QCOW2), await image(self.store, self.home, "iso", ISO)

    async def publish(self, publisher: ObjectPublisher | None = None) -> PublishResult:
        wanted = await request(self.store, *await self.images())
        return await (publisher or self.publisher()).publish(wanted, self.log)

    def read(self, artifact: Artifact) -> int:
        return self.objects.calls.count(("get", f"blobs/{artifact.blob.digest}"))

    def sent(self, artifact: Artifact) -> int:
        return self.objects.calls.count(("put", f"blobs/{artifact.blob.digest}"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench with an object store that works."""
    return Bench(tmp_path, FakeObjectStore())


def named(result: PublishResult, name: str) -> Artifact:
    return next(a for a in result.artifacts if a.name == name)


def content(bench: Bench, artifact: Artifact) -> bytes:
    return bench.objects.objects[f"blobs/{artifact.blob.digest}"]


async def test_every_file_is_in_the_object_store_under_its_digest(bench: Bench) -> None:
    result = await bench.publish()

    for artifact in result.artifacts:
        assert hashlib.sha256(content(bench, artifact)).hexdigest() == artifact.blob.digest
    assert [(a.kind, a.name) for a in result.artifacts] == [
        ("qcow2", "demo.qcow2"),
        ("iso", "demo.iso"),
        ("recipe", "recipe.json"),
        ("manifest", "packages.json"),
        ("manifest", "lock.json"),
        ("report", "verification.json"),
        ("log", "build.log"),
        ("manifest", "SHA256SUMS"),
    ]


async def test_an_image_that_was_not_booted_is_unverified_whatever_was_claimed(bench: Bench) -> None:
    result = await bench.publish()

    assert named(result, "demo.qcow2").verification == "verified"
    assert named(result, "demo.iso").verification == "unverified"
    document = json.loads(content(bench, named(result, "verification.json")))
    assert [(i["name"], i["booted"], i["verification"]) for i in document["images"]] == [
        ("demo.qcow2", True, "verified"),
        ("demo.iso", False, "unverified"),
    ]


async def test_the_verification_is_bound_to_the_bytes_it_is_about(bench: Bench) -> None:
    result = await bench.publish()

    document = json.loads(content(bench, named(result, "verification.json")))
    assert [i["sha256"] for i in document["images"]] == [blob_of(QCOW2).digest, blob_of(ISO).digest]
    assert document["recipe"] == {"name": "demo", "sha256": named(result, "recipe.json").blob.digest}
    assert document["verifier"] == {"name": "openfactory", "version": "1.2.3"}
    assert document["build"] == {"id": JOB.job_id, "generation": 1}
    assert json.loads(content(bench, named(result, "recipe.json"))) == RECIPE


async def test_the_manifest_lists_every_package_by_name(bench: Bench) -> None:
    result = await bench.publish()

    packages = json.loads(content(bench, named(result, "packages.json")))["packages"]
    assert [(p["name"], p["version"]) for p in packages] == [("bash", "5.2.15-2"), ("libc6", "2.36-9")]
    assert packages[0]["sha256"] == hashlib.sha256(b"bash").hexdigest()


async def test_the_lock_is_published_as_it_was_solved(bench: Bench) -> None:
    result = await bench.publish()

    document = json.loads(content(bench, named(result, "verification.json")))
    assert document["lock"] == {"sha256": named(result, "lock.json").blob.digest}


async def test_the_checksums_cover_every_other_file(bench: Bench) -> None:
    result = await bench.publish()

    lines = content(bench, named(result, "SHA256SUMS")).decode().splitlines()
    others = {f"{a.blob.digest}  {a.name}" for a in result.artifacts if a.name != "SHA256SUMS"}
    assert set(lines) == others


async def test_the_log_is_text_that_cannot_steer_a_terminal(bench: Bench) -> None:
    await put_log(bench.objects, "boot", "Starting.", "\x1b[2Jone\rtwo")

    result = await bench.publish()

    assert content(bench, named(result, "build.log")).decode().splitlines() == [
        "2023-11-14T22:13:20.000Z boot: Starting.",
        "2023-11-14T22:13:20.000Z boot: one",
        "    two",
    ]


async def test_evidence_becomes_files_of_the_build(bench: Bench) -> None:
    await bench.objects.put(f"evidence/{JOB.job_id}/0/machine/screenshot.png", b"\x89PNG")

    result = await bench.publish()

    found = named(result, "evidence-0-machine-screenshot.png")
    assert found.kind == "evidence"
    assert content(bench, found) == b"\x89PNG"
    assert bench.objects.content_types[f"blobs/{found.blob.digest}"] == "image/png"


async def test_what_is_listed_and_is_not_there_is_a_fault_of_the_factory(tmp_path: Path) -> None:
    objects = ListsWrongly()
    bench = Bench(tmp_path, objects)
    await objects.put(f"evidence/{JOB.job_id}/0/machine/screenshot.png", b"\x89PNG")
    objects.instead = f"evidence/{JOB.job_id}/0/elsewhere"

    with pytest.raises(Fault) as caught:
        await bench.publish()
    assert caught.value.code == "objects.unavailable"


async def test_a_part_of_the_log_that_stays_unreadable_is_named_and_does_not_hold_up_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.imaging.publish._PAUSES", (0.0, 0.0))
    objects = FakeObjectStore()
    bench = Bench(tmp_path, objects)
    lost = f"logs/{JOB.job_id}/{JOB.log_label('base_layer')}/0001/00000000"
    await objects.put(lost, b"\xff")
    await put_log(objects, "boot", "Starting.")

    result = await bench.publish()

    lines = content(bench, named(result, "build.log")).decode().splitlines()
    assert lines == [f"[a part of the log, {lost}, could not be read]", "2023-11-14T22:13:20.000Z boot: Starting."]
    assert any("left out" in line for line in bench.log.lines)


async def test_publishing_again_sends_nothing_twice_and_reads_everything_again(bench: Bench) -> None:
    first = await bench.publish()
    bench.objects.calls.clear()

    second = await bench.publish()

    assert second == first
    assert not [call for call in bench.objects.calls if call[0] == "put"]
    read = {key for method, key in bench.objects.calls if method == "get"}
    assert read >= {f"blobs/{a.blob.digest}" for a in first.artifacts}


async def test_images_that_were_copied_ahead_are_neither_sent_nor_read_again(bench: Bench) -> None:
    publisher = bench.publisher()
    await publisher.copy_images(await bench.images(), bench.log)
    result = await bench.publish(publisher)
    again = await bench.publish(publisher)
    for artifact in (a for a in (*result.artifacts, *again.artifacts) if a.kind in {"qcow2", "iso"}):
        assert (bench.sent(artifact), bench.read(artifact)) == (1, 1)
    assert any("unchanged since its digest was read back" in line for line in bench.log.lines)


async def test_an_image_that_was_overwritten_since_is_read_and_sent_again(bench: Bench) -> None:
    publisher = bench.publisher()
    disk = named(await bench.publish(publisher), "demo.qcow2")
    await bench.objects.put(f"blobs/{disk.blob.digest}", bytes(disk.blob.bytes))
    await bench.publish(publisher)
    assert content(bench, disk) == QCOW2


async def test_a_file_damaged_on_its_way_is_sent_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LossyObjectStore(bad=1))

    result = await bench.publish()

    assert bench.sent(named(result, "demo.qcow2")) == 2
    assert content(bench, named(result, "demo.qcow2")) == QCOW2


async def test_a_file_that_stays_damaged_is_a_fault_of_the_factory(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LossyObjectStore(bad=2))

    with pytest.raises(Fault) as caught:
        await bench.publish()

    assert caught.value.code == "artifact.corrupt"
    assert "object store" in caught.value.problems[0].message


async def test_an_object_with_other_bytes_of_the_same_size_is_replaced(bench: Bench) -> None:
    await bench.objects.put(f"blobs/{blob_of(ISO).digest}", bytes(len(ISO)))

    result = await bench.publish()

    assert content(bench, named(result, "demo.iso")) == ISO


async def test_a_file_damaged_on_the_host_is_named_as_such(bench: Bench) -> None:
    await image(bench.store, bench.home, "iso", ISO)
    path = bench.store.path(blob_of(ISO))
    path.chmod(0o644)
    path.write_bytes(bytes(len(ISO)))

    with pytest.raises(Fault) as caught:
        await bench.publish()

    assert caught.value.code == "artifact.corrupt"
    assert "on this host" in caught.value.problems[0].message


async def test_progress_grows_with_the_bytes_until_all_are_back(bench: Bench) -> None:
    await bench.publish()

    assert bench.log.percents == sorted(bench.log.percents)
    assert bench.log.percents[-1] == 100


async def test_no_workspace_is_left_when_publishing_is_cancelled(tmp_path: Path) -> None:
    objects = StuckObjectStore()
    task = asyncio.create_task(Bench(tmp_path, objects).publish())
    await objects.reached.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((tmp_path / "tmp").iterdir()) == []
