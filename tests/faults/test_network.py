"""The proxy before the object store: passes everything on as it is, and damages what it is told to."""

import hashlib
import random
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientError, ClientSession

from domain.errors import Fault
from infra.objects import S3ObjectStore
from infra.settings import S3Settings
from tests.faults.network import Mirror, ObjectStoreProxy
from tests.integration.conftest import s3_server, s3_settings

__all__ = ["s3_server", "s3_settings"]

pytestmark = pytest.mark.integration
BYTES = hashlib.sha256(b"seed").digest() * 4096
KEY = "blobs/with space+and%25/ä"


@pytest.fixture
async def proxied(s3_settings: S3Settings) -> AsyncGenerator[tuple[ObjectStoreProxy, S3ObjectStore]]:
    proxy = ObjectStoreProxy(lambda: int(urlsplit(s3_settings.endpoint).port or 0))
    await proxy.start()
    store = S3ObjectStore(s3_settings.model_copy(update={"endpoint": f"http://127.0.0.1:{proxy.port}"}))
    await store.ensure_bucket()
    await store.put(KEY, BYTES)
    yield proxy, store
    await store.aclose()
    await proxy.stop()


async def test_what_is_not_damaged_arrives_as_it_was_sent(proxied: tuple[ObjectStoreProxy, S3ObjectStore]) -> None:
    _, store = proxied
    assert await store.get(KEY) == BYTES
    assert await store.get(KEY, offset=10, length=5) == BYTES[10:15]
    found = await store.stat(KEY)
    assert found is not None
    assert found.bytes == len(BYTES)
    assert [o.key for o in await store.list("blobs/")] == [KEY]
    await store.delete(KEY)
    assert await store.stat(KEY) is None


@pytest.mark.parametrize("damage", ["error500", "truncated", "away"])
async def test_what_breaks_is_a_fault(proxied: tuple[ObjectStoreProxy, S3ObjectStore], damage: str) -> None:
    proxy, store = proxied
    proxy.harm(damage, random.Random(1), share=1.0)  # type: ignore[arg-type] # one of its words
    with pytest.raises(Fault) as caught:
        await store.get(KEY)
    assert caught.value.code == "objects.unavailable"
    proxy.damage = "none"
    assert await store.get(KEY) == BYTES


@pytest.mark.parametrize("size", [1, 6 << 20])
async def test_bytes_that_are_damaged_on_their_way_into_the_store_are_refused(
    proxied: tuple[ObjectStoreProxy, S3ObjectStore], size: int
) -> None:
    proxy, store = proxied
    proxy.harm("flipped", random.Random(1), share=1.0)
    with pytest.raises(Fault) as caught:
        await store.put("other", b"x" * size)
    assert caught.value.code == "objects.unavailable"
    assert proxy.damaged > 0
    proxy.damage = "none"
    await store.put("other", b"x" * size)
    assert await store.get("other") == b"x" * size


async def test_a_flipped_bit_is_one_bit(proxied: tuple[ObjectStoreProxy, S3ObjectStore]) -> None:
    proxy, store = proxied
    proxy.harm("flipped", random.Random(1), share=1.0)
    changed = int.from_bytes(await store.get(KEY), "big") ^ int.from_bytes(BYTES, "big")
    assert changed.bit_count() == 1


async def test_a_mirror_passes_on_what_is_behind_it_and_breaks_off_when_it_goes_down() -> None:
    behind, mirror = Mirror(), Mirror()
    await behind.start()
    await mirror.start()
    mirror.archives = {"main": f"http://127.0.0.1:{behind.port}/"}
    url = f"http://127.0.0.1:{mirror.port}"
    try:
        async with ClientSession() as session:
            async with session.get(f"{url}/main/index") as answer:
                assert (answer.status, await answer.text()) == (200, "2026-01-01T00:00:00Z")
            mirror.down = True
            with pytest.raises(ClientError):
                await session.get(f"{url}/main/index")
    finally:
        await mirror.stop()
        await behind.stop()
