"""Publishing to a real object store."""

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from activities.imaging.publish import ObjectPublisher
from activities.imaging.store import LocalBlobStore
from domain.artifacts import Artifact
from infra.objects import S3ObjectStore
from infra.settings import S3Settings
from tests.unit.imaging.publishing import SilentLog, image, request

pytestmark = pytest.mark.integration

LARGE = 40 << 20  # more than two parts of an upload


@pytest.fixture
async def objects(s3_settings: S3Settings) -> AsyncGenerator[S3ObjectStore]:
    """A fresh bucket."""
    store = S3ObjectStore(s3_settings)
    await store.ensure_bucket()
    yield store
    await store.aclose()


async def stored_digest(objects: S3ObjectStore, artifact: Artifact) -> str:
    hasher = hashlib.sha256()
    async for chunk in objects.stream(f"blobs/{artifact.blob.digest}"):
        hasher.update(chunk)
    return hasher.hexdigest()


async def test_a_build_is_published_whole_and_publishing_it_again_is_harmless(
    tmp_path: Path, objects: S3ObjectStore
) -> None:
    store = LocalBlobStore(tmp_path)
    asked = await request(store, await image(store, tmp_path, "qcow2", bytes(range(256)) * (LARGE // 256)))
    await objects.put(f"evidence/{asked.job.job_id}/0/machine/serial.log", b"Kernel panic\n")
    publisher = ObjectPublisher(tmp_path, store, objects, version="1.2.3")

    first = await publisher.publish(asked, SilentLog())
    second = await publisher.publish(asked, SilentLog())

    assert second == first
    assert {"demo.qcow2", "recipe.json", "SHA256SUMS", "evidence-0-machine-serial.log"} <= {
        a.name for a in first.artifacts
    }
    for artifact in first.artifacts:
        assert await stored_digest(objects, artifact) == artifact.blob.digest
