"""The log's writer and reader on the real object store."""

import asyncio

import pytest

from infra.log_reader import LogReader
from infra.log_stream import JobLog
from infra.objects import S3ObjectStore
from infra.settings import S3Settings

pytestmark = pytest.mark.integration


async def test_a_follower_reads_every_line_of_two_steps_once_and_in_order(s3_settings: S3Settings) -> None:
    store = S3ObjectStore(s3_settings)
    await store.ensure_bucket()

    async def write() -> None:
        for label in ("00.0-resolve", "00.1-base_layer"):
            async with JobLog.open(store, "j", label, 1) as log:
                for number in range(3000):
                    log.line(f"{label} {number} {'x' * 60}")
                    if number % 500 == 0:
                        await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    reader, cursor, seen = LogReader(store), "", list[str]()
    while len(seen) < 6000:
        page = await reader.read("j", cursor, wait_s=10)
        assert page.records
        cursor = page.cursor
        seen += [r.text.rpartition(" ")[0] for r in page.records]
    await writing
    assert seen == [f"{label} {n}" for label in ("00.0-resolve", "00.1-base_layer") for n in range(3000)]
    assert (await reader.read("j", cursor)).records == ()
    await store.aclose()
