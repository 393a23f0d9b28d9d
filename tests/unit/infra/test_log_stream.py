"""A step's log reaches its readers whole and in order, and never gets in the step's way."""

import asyncio

import pytest

from domain.errors import Fault, Verdict
from infra import log_stream
from infra.log_find import LogWish
from infra.log_layout import decode_records
from infra.log_reader import LogReader
from infra.log_stream import JobLog
from infra.ports import LogPage
from tests.fakes.objects import FakeObjectStore, HasLost, ListsWrongly

LABEL = "00.1-base_layer"


def texts(page: LogPage) -> list[str]:
    return [r.text for r in page.records]


async def write(objects: FakeObjectStore, *lines: str, label: str = LABEL, attempt: int = 1) -> None:
    async with JobLog.open(objects, "j", label, attempt) as log:
        for line in lines:
            log.line(line)


async def test_what_was_logged_is_read_in_order_with_its_step() -> None:
    objects = FakeObjectStore()
    await write(objects, "one", "two")
    page = await LogReader(objects).read("j")
    assert texts(page) == ["one", "two"]
    assert {r.step for r in page.records} == {"base_layer"}
    assert list(objects.objects) == ["logs/j/00.1-base_layer/0001/00000000"]


async def test_the_log_of_a_part_belongs_to_its_step() -> None:
    objects = FakeObjectStore()
    await write(objects, "x", label="00.6-verify~evidence")
    assert (await LogReader(objects).read("j", steps={"verify"})).records[0].step == "verify"


async def test_a_retried_attempt_comes_after_the_earlier_one() -> None:
    objects = FakeObjectStore()
    await write(objects, "second", attempt=2)
    await write(objects, "first", attempt=1)
    assert texts(await LogReader(objects).read("j")) == ["first", "second"]


async def test_an_attempt_that_is_run_again_is_continued_and_not_overwritten() -> None:
    objects = FakeObjectStore()
    await write(objects, "before")
    await write(objects, "after")
    assert texts(await LogReader(objects).read("j")) == ["before", "after"]


async def test_a_cursor_goes_on_where_it_stopped_in_another_process() -> None:
    objects = FakeObjectStore()
    await write(objects, *[f"line {i}" for i in range(10)])
    await write(objects, "next step", label="00.2-package_layer")
    cursor, seen = "", list[str]()
    for _ in range(4):
        page = await LogReader(objects).read("j", cursor, limit_records=3)
        cursor = page.cursor
        seen += texts(page)
    assert seen == [*[f"line {i}" for i in range(10)], "next step"]
    assert texts(await LogReader(objects).read("j", cursor)) == []


async def test_a_page_ends_before_its_bytes_are_passed_but_gives_at_least_one_record() -> None:
    objects = FakeObjectStore()
    await write(objects, "a" * 100, "b" * 100, "c" * 100)
    reader = LogReader(objects)
    page = await reader.read("j", limit_bytes=250)
    assert len(page.records) == 2
    assert len((await reader.read("j", page.cursor, limit_bytes=10)).records) == 1


@pytest.mark.parametrize("cursor", ["?", "AAAA", "x" * 600, "bG9ncy9vdGhlcg", "é"])
async def test_a_cursor_from_elsewhere_is_refused(cursor: str) -> None:
    with pytest.raises(Verdict) as refused:
        await LogReader(FakeObjectStore()).read("j", cursor)
    assert refused.value.code == "log.bad_cursor"


async def test_only_the_steps_asked_for_are_read() -> None:
    objects = FakeObjectStore()
    await write(objects, "resolve", label="00.0-resolve")
    await write(objects, "boot", label="00.5-boot")
    assert texts(await LogReader(objects).read("j", steps={"boot"})) == ["boot"]


async def test_a_waiting_reader_gets_a_line_as_soon_as_it_is_there() -> None:
    objects = FakeObjectStore()
    waiting = asyncio.create_task(LogReader(objects).read("j", wait_s=30))
    await asyncio.sleep(0)
    await write(objects, "here")
    assert texts(await waiting) == ["here"]


async def test_many_waiting_readers_share_one_look_out_and_one_read() -> None:
    objects = FakeObjectStore()
    reader = LogReader(objects)
    waiting = [asyncio.create_task(reader.read("j", wait_s=30)) for _ in range(50)]
    for _ in range(200):
        await asyncio.sleep(0)
    listed_by_readers = sum(method == "list" for method, _ in objects.calls)
    await write(objects, "here")
    pages = await asyncio.gather(*waiting)
    assert all(texts(page) == ["here"] for page in pages)
    assert sum(method == "get" for method, _ in objects.calls) == 1
    assert sum(method == "list" for method, _ in objects.calls) - listed_by_readers < 10


async def test_a_wait_that_is_over_answers_an_empty_page_with_the_same_cursor() -> None:
    objects = FakeObjectStore()
    await write(objects, "one")
    reader = LogReader(objects)
    cursor = (await reader.read("j")).cursor
    page = await reader.read("j", cursor, wait_s=0.01)
    assert page == LogPage(records=(), cursor=cursor)


async def test_progress_is_the_newest_and_is_written_once_per_flush() -> None:
    objects = FakeObjectStore()
    async with JobLog.open(objects, "j", LABEL, 1) as log:
        for percent in range(100):
            log.progress(percent, f"at {percent}")
        log.progress(140, "done")
    newest = await LogReader(objects).progress("j")
    assert newest is not None
    assert (newest.percent, newest.text, newest.kind) == (100.0, "done", "progress")
    assert len(decode_records(next(iter(objects.objects.values())))) == 1


async def test_progress_asked_for_again_is_the_newer_one_and_reads_only_what_is_new() -> None:
    objects = FakeObjectStore()
    reader = LogReader(objects)
    for percent in (10, 20):
        async with JobLog.open(objects, "j", LABEL, 1) as log:
            log.progress(percent, "")
        found = await reader.progress("j")
        assert found is not None
        assert found.percent == percent
    await write(objects, "a line", label="00.2-package_layer")
    found = await reader.progress("j")
    assert found is not None
    assert found.percent == 20
    assert sum(method == "get" for method, _ in objects.calls) == 3


@pytest.mark.parametrize("spoilt", [b"{", b'{"at":1}\n', b"\xff\n"])
async def test_what_was_read_damaged_is_a_fault_and_is_read_anew(spoilt: bytes) -> None:
    objects = FakeObjectStore()
    await write(objects, "whole")
    ((key, whole),) = objects.objects.items()
    reader = LogReader(objects)
    objects.objects[key] = spoilt
    with pytest.raises(Fault) as caught:
        await reader.tail("j", 1)
    assert caught.value.code == "log.damaged"
    objects.objects[key] = whole
    assert texts(await reader.tail("j", 1)) == ["whole"]


@pytest.mark.parametrize("spoilt", ["logs/j/00.1-Base_layer/0001/00000000", "logs/j/00.1-base_layer/000/", "logs/j"])
async def test_what_was_listed_damaged_is_a_fault_and_is_listed_anew(spoilt: str) -> None:
    objects = ListsWrongly()
    await write(objects, "whole")
    reader = LogReader(objects)
    objects.instead = spoilt
    with pytest.raises(Fault) as caught:
        await reader.tail("j", 1)
    assert caught.value.code == "log.damaged"
    objects.instead = ""
    assert texts(await reader.tail("j", 1)) == ["whole"]


async def test_a_part_that_is_lost_for_good_is_a_fault_once_and_then_a_line_that_says_so() -> None:
    objects = HasLost()
    await write(objects, "one", label="00.0-resolve")
    await write(objects, "two", label="00.1-base_layer")
    await write(objects, "three", label="00.2-package_layer")
    objects.lost = "logs/j/00.1-base_layer/0001/00000000"
    said = f"[a part of the log, {objects.lost}, could not be read]"
    reader = LogReader(objects)
    for ask in (reader.read("j"), LogReader(objects).find("j", LogWish(text="t"))):
        with pytest.raises(Fault) as caught:
            await ask
        assert caught.value.code == "log.damaged"
    assert texts(await reader.tail("j", 2)) == [said, "three"]
    assert texts(await reader.read("j")) == ["one", said, "three"]
    found = await reader.find("j", LogWish(text="t"))
    assert [(line.number, line.record.text) for line in found.lines] == [(2, said), (3, "three")]
    objects.lost = ""
    assert texts(await reader.read("j")) == ["one", "two", "three"]


async def test_a_job_without_a_log_has_no_progress_and_an_empty_tail() -> None:
    reader = LogReader(FakeObjectStore())
    assert await reader.progress("j") is None
    assert await reader.tail("j", 5) == LogPage(records=(), cursor="")


async def test_the_tail_is_the_last_lines_and_can_be_followed() -> None:
    objects = FakeObjectStore()
    await write(objects, "a", "b", label="00.0-resolve")
    await write(objects, "c", label="00.1-base_layer")
    reader = LogReader(objects)
    page = await reader.tail("j", 2)
    assert texts(page) == ["b", "c"]
    await write(objects, "d", label="00.2-package_layer")
    assert texts(await reader.read("j", page.cursor)) == ["d"]


async def test_while_the_store_is_away_lines_are_kept_and_written_later() -> None:
    objects = FakeObjectStore()
    async with JobLog.open(objects, "j", LABEL, 1) as log:
        objects.away = True
        log.line("one")
        log.line("x" * log_stream.FLUSH_BYTES)
        for _ in range(20):
            await asyncio.sleep(0)
        log.line("two")
        objects.away = False
    page = await LogReader(objects).read("j")
    assert [t[:3] for t in texts(page)] == ["one", "xxx", "two"]


async def test_what_does_not_fit_is_dropped_oldest_first_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "BUFFER_BYTES", 1000)
    objects = FakeObjectStore()
    async with JobLog.open(objects, "j", LABEL, 1) as log:
        for i in range(100):
            log.line(f"line {i:03d}")
    found = texts(await LogReader(objects).read("j"))
    kept = len(found) - 1
    assert found[0] == f"[{100 - kept} lines were dropped: the log store was away]"
    assert found[1:] == [f"line {i:03d}" for i in range(100 - kept, 100)]


async def test_leaving_the_log_never_fails_even_if_the_store_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_stream, "CLOSE_SECONDS", 0.01)
    objects = FakeObjectStore()
    objects.away = True
    await write(objects, "lost")
    assert objects.objects == {}


async def test_output_that_is_not_valid_text_is_logged_all_the_same() -> None:
    objects = FakeObjectStore()
    await write(objects, "a\udcffb\x00\x1b[31m\n c", "y" * 9000)
    page = await LogReader(objects).read("j")
    assert page.records[0].text == "a?b\x00\x1b[31m\n c"
    assert page.model_dump_json()
    assert page.records[1].text.endswith("… (808 more characters)")


async def test_a_line_after_the_end_is_ignored() -> None:
    objects = FakeObjectStore()
    async with JobLog.open(objects, "j", LABEL, 1) as log:
        log.line("in time")
    log.line("late")
    assert texts(await LogReader(objects).read("j")) == ["in time"]
