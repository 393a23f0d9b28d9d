"""Ranges, markup and client configurations, without a server."""

import pytest

from console.html import Markup, Pages
from console.ranges import ByteRange, range_still_valid, requested_range, tag_matches


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 10, None),
        ("", 10, None),
        ("bytes=0-0", 10, ByteRange(0, 1)),
        ("bytes=2-", 10, ByteRange(2, 8)),
        ("bytes=-3", 10, ByteRange(7, 3)),
        ("bytes=-30", 10, ByteRange(0, 10)),
        ("bytes=8-99", 10, ByteRange(8, 2)),
        ("bytes=10-", 10, "unsatisfiable"),
        ("bytes=-0", 10, "unsatisfiable"),
        ("bytes=0-", 0, "unsatisfiable"),
        ("bytes=-5", 0, "unsatisfiable"),
        ("bytes=5-2", 10, None),
        ("bytes=-", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=a-b", 10, None),
        ("items=0-1", 10, None),
        ("bytes=" + "9" * 30 + "-", 10, None),
    ],
)
def test_a_range_is_read_as_the_standard_says(header: str | None, size: int, expected: object) -> None:
    assert requested_range(header, size) == expected


def test_tags_match_weakly_for_copies_and_strongly_for_parts() -> None:
    assert tag_matches('"a", W/"b"', '"b"')
    assert tag_matches("*", '"b"')
    assert not tag_matches(None, '"b"')
    assert range_still_valid(None, '"b"')
    assert range_still_valid('"b"', '"b"')
    assert not range_still_valid('W/"b"', '"b"')
    assert not range_still_valid("Wed, 21 Oct 2015 07:28:00 GMT", '"b"')


def test_values_are_escaped_and_markup_is_not() -> None:
    pages = Pages("<1>")
    part = pages.part("problem", status=404, message="<script>alert(1)</script>", next='"quoted" & more')
    assert "<script>" not in part
    assert "&lt;script&gt;" in part
    assert "&quot;quoted&quot; &amp; more" in part
    page = pages.page("A title", Markup("<p>body</p>"))
    assert "<p>body</p>" in page
    assert "&lt;1&gt;" in page
    assert "$" not in page
