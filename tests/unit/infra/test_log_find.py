"""Lines of a log are numbered, and found by number, time and text, in bounded pieces of work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import log_job
from infra.log_find import LogWish
from infra.log_layout import encode_record
from infra.log_reader import LogReader
from infra.ports import FoundPage, LogRecord
from tests.fakes.objects import FakeObjectStore

LINES = [f"line {n}" for n in range(1, 61)]


def log_of(*texts: str, each: int = 7, progress: bool = True) -> FakeObjectStore:
    """Write a log whose objects hold so many lines each and a progress record, one line a second."""
    objects = FakeObjectStore()
    for start in range(0, len(texts), each):
        records = [
            LogRecord(at=1000 * (start + i), kind="line", step="boot", text=text)
            for i, text in enumerate(texts[start : start + each])
        ]
        if progress:
            records.append(LogRecord(at=0, kind="progress", step="boot", text="half", percent=50.0))
        objects.objects[f"logs/j/00.5-boot/0001/{start:08d}"] = b"".join(map(encode_record, records))
    return objects


def numbers(page: FoundPage) -> list[int]:
    return [line.number for line in page.lines]


async def test_lines_read_one_after_the_other_are_numbered_from_one() -> None:
    reader, cursor, seen = LogReader(log_of(*LINES)), None, list[tuple[int, str]]()
    while (page := await reader.read("j", cursor, limit_records=9)).records:
        lines = zip(page.records, page.numbers, strict=True)
        seen += [(number, record.text) for record, number in lines if record.kind == "line"]
        cursor = page.cursor
    assert seen == [(n, f"line {n}") for n in range(1, 61)]


async def test_the_last_lines_have_their_numbers_in_the_whole_log() -> None:
    page = await LogReader(log_of(*LINES)).tail("j", 10)
    assert page.numbers == tuple(range(51, 61))
    assert page.records[-1].text == "line 60"


async def test_of_a_log_with_too_many_parts_to_count_the_end_has_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_job, "_COUNTED_OBJECTS", 3)
    page = await LogReader(log_of(*LINES)).tail("j", 2)
    assert [record.text for record in page.records] == ["line 59", "line 60"]
    assert page.numbers == ()


async def test_a_range_of_lines_is_found_by_number_and_by_time() -> None:
    reader = LogReader(log_of(*LINES))
    by_number = await reader.find("j", LogWish(first_line=20, last_line=23))
    by_time = await reader.find("j", LogWish(since=19_000, until=22_000))
    assert numbers(by_number) == numbers(by_time) == [20, 21, 22, 23]
    assert not by_number.more


async def test_a_text_is_found_in_any_case_with_the_lines_around_it() -> None:
    reader = LogReader(log_of(*(["a", "b", "The ERROR (1)", "c", "error (2)", "d", "e", "f"] * 2)))
    page = await reader.find("j", LogWish(text="Error (", context=1))
    assert numbers(page) == [2, 3, 4, 5, 6, 10, 11, 12, 13, 14]
    assert [line.number for line in page.lines if line.match] == [3, 5, 11, 13]


async def test_a_text_is_plain_and_no_pattern() -> None:
    reader = LogReader(log_of("a.c", "abc", "[", "*"))
    assert numbers(await reader.find("j", LogWish(text="a.c"))) == [1]
    assert numbers(await reader.find("j", LogWish(text="["))) == [3]


async def test_what_did_not_fit_is_found_at_the_cursor_without_a_gap_or_a_repeat() -> None:
    reader, cursor, seen, more = LogReader(log_of(*LINES)), None, list[int](), True
    while more:
        page = await reader.find("j", LogWish(text="line", first_line=5), cursor, limit_lines=4)
        seen += numbers(page)
        cursor, more = page.cursor, page.more
    assert seen == list(range(5, 61))


async def told(reader: LogReader, wish: LogWish, limit: int) -> list[int]:
    """Page through a search, each page in a process of its own."""
    found, cursor, more = list[int](), None, True
    while more:
        page = await reader.find("j", wish, cursor, limit_lines=limit)
        found += numbers(page)
        cursor, more = page.cursor, page.more
    return found


@given(
    hits=st.lists(st.booleans(), max_size=40),
    context=st.integers(0, 6),
    limit=st.integers(1, 12),
    each=st.integers(1, 9),
    budget=st.sampled_from((1, 300, 8 << 20)),
)
async def test_pages_have_together_what_one_page_has_context_and_all(
    hits: list[bool], context: int, limit: int, each: int, budget: int
) -> None:
    objects = log_of(*("a hit" if hit else "a line" for hit in hits), each=each)
    wish = LogWish(text="hit", context=context)
    whole = await told(LogReader(objects), wish, 1000)
    around = {near for at, hit in enumerate(hits) if hit for near in range(at - context, at + context + 1)}
    assert whole == [at + 1 for at in range(len(hits)) if at in around]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_job, "_SEARCHED_BYTES", budget)
        assert await told(LogReader(objects), wish, limit) == whole


async def test_one_search_reads_a_bounded_part_and_is_continued_in_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_job, "_SEARCHED_BYTES", 400)
    monkeypatch.setattr(log_job, "_AT_ONCE", 2)
    objects, cursor, seen, more = log_of(*LINES), None, list[int](), True
    calls = 0
    while more:
        page = await LogReader(objects).find("j", LogWish(text="line 6"), cursor)
        seen += numbers(page)
        cursor, more, calls = page.cursor, page.more, calls + 1
    assert seen == [6, 60]
    assert calls > 2


async def test_a_search_that_is_over_goes_on_when_the_log_does() -> None:
    objects = log_of("one", "two")
    reader = LogReader(objects)
    first = await reader.find("j", LogWish(text="three"))
    assert (first.lines, first.more) == ((), False)
    late = LogRecord(at=0, kind="line", step="boot", text="three")
    objects.objects["logs/j/00.5-boot/0001/00000099"] = encode_record(late)
    assert numbers(await reader.find("j", LogWish(text="three"), first.cursor)) == [3]


async def test_lines_of_other_steps_are_counted_and_passed_over() -> None:
    objects = log_of("boots")
    resolved = LogRecord(at=0, kind="line", step="resolve", text="solves")
    objects.objects["logs/j/00.0-resolve/0001/00000000"] = encode_record(resolved)
    page = await LogReader(objects).find("j", LogWish(text="s", steps=("boot",)))
    assert [(line.number, line.record.text) for line in page.lines] == [(2, "boots")]
