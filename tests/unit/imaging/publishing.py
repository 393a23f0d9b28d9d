"""What the tests of publishing share."""

import hashlib
from pathlib import Path
from typing import Any

from activities.imaging.lock import Lock, LockedPackage, store_lock
from activities.imaging.models import PublishInput
from activities.imaging.store import LocalBlobStore
from activities.job import Job
from domain.artifacts import Artifact, ArtifactKind, Blob
from domain.recipe.schema import Recipe
from infra.log_layout import encode_record
from infra.ports import LogRecord
from tests.fakes.objects import FakeObjectStore

JOB = Job(job_id="7d1c0b52-0000-4000-8000-000000000001", org_id="acme", generation=1)
RECIPE: dict[str, Any] = Recipe(name="demo", baseImage="debian-bookworm").model_dump(mode="json")
QCOW2_REPORT: dict[str, Any] = {
    "artifact": "qcow2",
    "firmware": "uefi",
    "accelerator": "tcg",
    "boot_seconds": 31.0,
    "results": [],
}


class SilentLog:
    """Remembers what a step said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.percents: list[float] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, percent: float, text: str) -> None:
        self.percents.append(percent)


def package(name: str, version: str) -> LockedPackage:
    """A package as a lock has it."""
    return LockedPackage(
        name=name,
        version=version,
        arch="amd64",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        bytes=1000,
        installed_kib=4,
        archive="main",
        path=f"pool/main/{name}.deb",
        control={},
    )


LOCK = Lock(
    suite="bookworm",
    arch="amd64",
    epoch=1_700_000_000,
    index="2026-11-22T00:00:00Z",
    base=(package("libc6", "2.36-9"),),
    packages=(package("bash", "5.2.15-2"),),
    wanted=("bash",),
)


async def image(store: LocalBlobStore, folder: Path, kind: ArtifactKind, data: bytes) -> Artifact:
    """An image in the host's store, said to be verified."""
    path = folder / f"new.{kind}"
    path.write_bytes(data)
    return Artifact(kind=kind, name=f"demo.{kind}", blob=await store.adopt(path), verification="verified")


async def request(store: LocalBlobStore, *artifacts: Artifact) -> PublishInput:
    """A request to publish; only the qcow2 was booted."""
    lock = await store_lock(store, LOCK)
    return PublishInput(job=JOB, recipe=RECIPE, lock=lock, artifacts=artifacts, reports=(QCOW2_REPORT,))


async def put_log(objects: FakeObjectStore, step: str, *texts: str) -> None:
    """Some lines of one step's log."""
    records = [LogRecord(at=1_700_000_000_000, kind="line", step=step, text=text) for text in texts]
    records.append(LogRecord(at=1_700_000_000_500, kind="progress", step=step, text="half", percent=50))
    await objects.put(f"logs/{JOB.job_id}/{JOB.log_label('boot')}/0001/00000000", b"".join(map(encode_record, records)))


def blob_of(data: bytes) -> Blob:
    """Bytes by their digest."""
    return Blob(digest=hashlib.sha256(data).hexdigest(), bytes=len(data))
