"""Uploads that die half-way: what stays in the real store, and that the collection takes it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minio import Minio
from temporalio.testing import ActivityEnvironment

from activities.keeping.collect_models import SweepInput
from activities.keeping.collection import CollectionActivities
from activities.swept import Swept
from domain.errors import Fault
from domain.keeping import HALF_DONE, HALF_DONE_GRACE
from infra.objects import S3ObjectStore
from infra.settings import S3Settings
from tests.unit.keeping.test_collection import Reads

pytestmark = pytest.mark.integration

KEY = "blobs/" + "ab" * 32
PART = 16 << 20

_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from minio import Minio
from infra.objects import S3ObjectStore
from infra.settings import S3Settings

send = Minio._upload_part
def upload_part(self, bucket, key, data, headers, upload_id, number, *rest):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return send(self, bucket, key, data, headers, upload_id, number, *rest)
Minio._upload_part = upload_part
settings = S3Settings.model_validate_json(sys.stdin.read())
asyncio.run(S3ObjectStore(settings).put_file(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.fixture
async def store(s3_settings: S3Settings) -> AsyncGenerator[S3ObjectStore]:
    made = S3ObjectStore(s3_settings)
    await made.ensure_bucket()
    yield made
    await made.aclose()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(3 * PART)
    return path


async def swept(store: S3ObjectStore, *, later: timedelta, dry_run: bool = False) -> Swept:
    collection = CollectionActivities(Reads(), store, now=lambda: datetime.now(UTC) + later)
    return await ActivityEnvironment().run(collection.sweep_objects, SweepInput(dry_run=dry_run))


async def _killed(settings: S3Settings, path: Path) -> None:
    """Upload in a process that dies with kill -9 before its third part."""
    told = settings.model_dump() | {"secret_key": settings.secret_key.get_secret_value()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DIES, KEY, str(path)), stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(json.dumps(told).encode())
    assert process.returncode == -signal.SIGKILL


async def _cut_off(store: S3ObjectStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload to a store that goes away at the third part, so that nothing can be given up either."""
    send = Minio._upload_part  # pyright: ignore[reportPrivateUsage] - the store is away from here on

    def away(*_: object) -> None:
        raise ConnectionError

    def upload_part(self: Minio, *rest: object) -> str:
        if rest[5] == 3:
            away()
        return send(self, *rest)  # type: ignore[arg-type] # as it came

    with monkeypatch.context() as patched:
        patched.setattr(Minio, "_upload_part", upload_part)
        patched.setattr(Minio, "_abort_multipart_upload", away)
        with pytest.raises(Fault):
            await store.put_file(KEY, path)


@pytest.mark.parametrize("how", ["killed", "cut off"])
async def test_the_parts_of_an_upload_that_died_go_after_a_day(
    how: str, store: S3ObjectStore, s3_settings: S3Settings, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (_killed(s3_settings, large) if how == "killed" else _cut_off(store, large, monkeypatch))
    assert await store.list("") == ()

    assert (await swept(store, later=HALF_DONE_GRACE - timedelta(minutes=5))).gone == ()
    later = HALF_DONE_GRACE + timedelta(minutes=5)
    dry = await swept(store, later=later, dry_run=True)
    assert [(gone.kind, gone.count, gone.bytes) for gone in dry.gone] == [(HALF_DONE.kind, 1, 2 * PART)]
    assert (await swept(store, later=later)).gone == dry.gone
    assert (await swept(store, later=later)).gone == ()

    await store.put_file(KEY, large)
    found = await store.stat(KEY)
    assert found is not None
    assert found.bytes == 3 * PART


async def test_an_upload_that_ends_leaves_no_parts(store: S3ObjectStore, large: Path) -> None:
    await store.put_file(KEY, large)
    assert await store.abort_uploads("", before=datetime.now(UTC) + timedelta(days=1)) == ()
