"""Untrusted text is made safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.text import clean_untrusted, in_markdown


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link", "link"),
        ("\x1b]52;c;unterminated\nnext line", "\nnext line"),
        ("\x9b2Jcleared", "cleared"),
        ("a\x00b\x08c", "abc"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("in\u200bvis\u2060ible\ufeff", "invisible"),
        ("hidden\U000e0041\ufe0f", "hidden"),
        ("\ud800half", "half"),
        ("grün 漢字 🙂", "grün 漢字 🙂"),
    ],
)
def test_what_could_steer_or_hide_is_gone_and_the_rest_stays(text: str, clean: str) -> None:
    assert clean_untrusted(text) == clean


def test_a_long_text_is_cut_and_says_so() -> None:
    assert clean_untrusted("abcdef", 4) == "abc…"
    assert clean_untrusted("abcd", 4) == "abcd"
    assert clean_untrusted("a", 0) == ""


@given(st.text(), st.integers(min_value=0, max_value=50))
def test_nothing_comes_back_longer_or_with_an_escape(text: str, limit: int) -> None:
    clean = clean_untrusted("\x1b[1m" + text, limit)
    assert len(clean) <= limit
    assert "\x1b" not in clean


def test_a_text_on_a_page_in_markdown_is_one_line_that_changes_nothing_of_it() -> None:
    said = "last words:\n\n# Passed\n| a | [all is well](https://x.example) <b>`\x1b[1m"
    page = in_markdown(said, 200)
    assert page == r"last words: \# Passed \| a \| \[all is well\](https://x.example) \<b\>\`"
    assert in_markdown("*" * 300, 100).count("*") == 99


@given(st.text())
def test_clean_text_stays_as_it_is(text: str) -> None:
    once = clean_untrusted(text)
    assert clean_untrusted(once) == once
