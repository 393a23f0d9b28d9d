"""Promises and tests meet in both directions: nothing promised goes untested, no test is only imagined."""

import ast
from pathlib import Path

import pytest

from tests.requirements.promises import PROMISES, Promise

pytestmark = pytest.mark.requirements

_TESTS = Path(__file__).resolve().parents[1]
_README = " ".join((_TESTS.parent / "README.md").read_text().split())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.words[:40])
def test_the_readme_still_says_so(promise: Promise) -> None:
    assert promise.words in _README


@pytest.mark.parametrize("test", [test for promise in PROMISES for test in promise.tests])
def test_the_test_that_holds_it_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((_TESTS / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_no_promise_is_without_a_test() -> None:
    assert all(promise.tests for promise in PROMISES)
