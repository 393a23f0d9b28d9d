"""What every object store does: the fake and the real one alike."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.errors import Fault, Verdict
from infra import half_done
from infra.objects import S3ObjectStore
from infra.ports import ObjectInfo
from infra.settings import S3Settings
from tests.fakes.objects import FakeObjectStore

pytestmark = pytest.mark.integration

Store = FakeObjectStore | S3ObjectStore


@pytest.fixture(params=["fake", "seaweedfs"])
async def store(request: pytest.FixtureRequest) -> AsyncGenerator[Store]:
    made = FakeObjectStore() if request.param == "fake" else S3ObjectStore(request.getfixturevalue("s3_settings"))
    await made.ensure_bucket()
    yield made
    await made.aclose()


async def test_what_was_put_can_be_read_whole_and_in_part(store: Store) -> None:
    await store.put("a/b", b"0123456789", "text/plain")
    assert await store.get("a/b") == b"0123456789"
    assert await store.get("a/b", offset=3) == b"3456789"
    assert await store.get("a/b", offset=3, length=4) == b"3456"
    assert await store.get("a/b", length=0) == b""
    found = await store.stat("a/b")
    assert found is not None
    assert (found.key, found.bytes) == ("a/b", 10)
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)


async def test_what_lies_beyond_the_end_is_empty(store: Store) -> None:
    await store.put("a", b"0123456789")
    assert await store.get("a", offset=10) == b""
    assert await store.get("a", offset=8, length=100) == b"89"
    await store.put("empty", b"")
    assert await store.get("empty", length=10) == b""


async def test_putting_again_replaces(store: Store) -> None:
    await store.put("a", b"one")
    await store.put("a", b"two")
    assert await store.get("a") == b"two"


async def test_an_object_that_is_not_there_is_a_verdict_to_read_and_nothing_to_stat(store: Store) -> None:
    assert await store.stat("nope") is None
    for read in (store.get("nope"), store.get("nope", length=0), anext(store.stream("nope"))):
        with pytest.raises(Verdict) as refused:
            await read
        assert refused.value.code == "object.not_found"


async def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: Store) -> None:
    await store.put("a", b"x")
    await store.delete("a")
    await store.delete("a")
    assert await store.stat("a") is None


async def test_keys_of_a_log_are_listed_in_order_from_anywhere(store: Store) -> None:
    keys = [f"logs/j/0{g}.{s}-step/000{a}/0000000{n}" for g in (0, 1) for s in (0, 5) for a in (1, 2) for n in (0, 1)]
    for key in reversed(keys):
        await store.put(key, b"x")
    assert [o.key for o in await store.list("logs/j/")] == keys
    assert [o.key for o in await store.list("logs/j/", limit=5)] == keys[:5]
    for at, key in enumerate(keys):
        assert [o.key for o in await store.list("logs/j/", after=key)] == keys[at + 1 :]
    assert await store.list("logs/k/") == ()


async def test_a_file_of_several_parts_arrives_whole_and_is_streamed_back(store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * (160 << 10)  # 40 MiB: three parts
    (tmp_path / "big").write_bytes(data)
    await store.put_file("blobs/big", tmp_path / "big")
    found = await store.stat("blobs/big")
    assert found is not None
    assert found.bytes == len(data)
    assert b"".join([chunk async for chunk in store.stream("blobs/big")]) == data
    part = b"".join([chunk async for chunk in store.stream("blobs/big", offset=17 << 20, length=3 << 20)])
    assert part == data[17 << 20 : 20 << 20]


async def test_an_empty_file_is_an_empty_object(store: Store, tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    await store.put_file("blobs/none", tmp_path / "none")
    assert await store.get("blobs/none") == b""


async def test_a_stream_may_be_left_early(store: Store) -> None:
    await store.put("a", b"x" * (4 << 20))
    stream = store.stream("a")
    await anext(stream)
    await stream.aclose()
    assert await store.get("a", length=1) == b"x"


async def _begin(store: Store, key: str, data: bytes) -> None:
    """Begin an upload by parts and leave it there, as a program does that is killed."""
    if isinstance(store, FakeObjectStore):
        store.half_done.append(ObjectInfo(key=key, bytes=len(data), modified=datetime.now(UTC)))
        return
    client, bucket = store._client, store._bucket  # pyright: ignore[reportPrivateUsage] - nobody else leaves one
    upload = client._create_multipart_upload(bucket, key, {})  # pyright: ignore[reportPrivateUsage]
    if data:
        client._upload_part(bucket, key, data, None, upload, 1)  # pyright: ignore[reportPrivateUsage]


async def test_uploads_that_were_begun_before_a_time_are_given_up_and_told_with_their_size(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [("blobs/a", 6 << 20), ("blobs/a", 0), ("blobs/b", 0), ("blobs/c", 5 << 20)]  # one again after it died
    await _begin(store, "other/x", b"")
    await store.put("blobs/whole", b"x")
    for page in (1, 2, 1000):
        monkeypatch.setattr(half_done, "PAGE", page)
        for key, size in begun:
            await _begin(store, key, bytes(size))
        await _given_up(store, sorted(begun))
    assert await store.get("blobs/whole") == b"x"


async def _given_up(store: Store, ours: list[tuple[str, int]]) -> None:
    soon, long_ago = datetime.now(UTC) + timedelta(minutes=1), datetime.now(UTC) - timedelta(minutes=1)
    assert await store.abort_uploads("blobs/", before=long_ago) == ()
    dry = await store.abort_uploads("blobs/", before=soon, dry_run=True)
    assert sorted((info.key, info.bytes) for info in dry) == ours
    assert all(long_ago < info.modified < soon for info in dry)
    assert sorted(await store.abort_uploads("blobs/", before=soon), key=repr) == sorted(dry, key=repr)
    assert await store.abort_uploads("blobs/", before=soon) == ()
    assert [info.key for info in await store.abort_uploads("", before=soon, dry_run=True)] == ["other/x"]


@pytest.mark.parametrize("broken", ["away", "wrong key"])
async def test_a_store_that_cannot_be_used_is_a_fault(broken: str, s3_settings: S3Settings) -> None:
    update = {"endpoint": "http://127.0.0.1:9"} if broken == "away" else {"secret_key": SecretStr("wrong")}
    store = S3ObjectStore(s3_settings.model_copy(update=update))
    try:
        now = datetime.now(UTC)
        attempts = (store.put("a", b""), store.get("a"), store.stat("a"), store.list(""), store.ensure_bucket())
        for attempt in (*attempts, store.abort_uploads("", before=now)):
            with pytest.raises(Fault) as failed:
                await attempt
            assert failed.value.code == "objects.unavailable"
    finally:
        await store.aclose()
