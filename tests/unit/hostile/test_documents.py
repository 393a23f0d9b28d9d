"""Recipes and suites: what is right has one canonical form, and what is wrong is told with a path and a way out."""

from collections.abc import Callable
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings

from domain.canonical import canonical_json, digest
from domain.errors import Verdict
from domain.recipe.parse import parse_recipe
from domain.recipe.schema import Recipe
from domain.suite.parse import parse_suite
from domain.suite.schema import Suite
from service.recipe_text import read_recipe
from service.recipes import canonical_recipe
from service.suite_text import understood
from tests.hostile import NASTY, ODD, check_problems, nested, of_schema, spoilt

RECIPES = of_schema(Recipe.model_json_schema(by_alias=True))
SUITES = of_schema(Suite.model_json_schema(by_alias=True))
# What is wrong with a document as a whole has no place in it.
WHOLE: Final = frozenset(
    {f"{kind}.{code}" for kind in ("recipe", "suite") for code in ("not_a_document", "too_large", "missing_key")}
)
FEW, MANY = 60, 5000

TEXTS: Final = (
    *NASTY,
    "a: &a [*a]",
    "a: &a x\nb: *a",
    "&a name: x",
    "a: !!python/object/apply:os.system ['touch /canary']",
    "a: !x y",
    "!!binary aGk=",
    "name: x\nname: y",
    '{"name": "x", "name": "y"}',
    "<<: {name: x}",
    "? [a, b]\n: c",
    "? {a: b}\n: c",
    "---\na: b\n---\nc: d",
    "%YAML 9.9\n---\na: b",
    "%TAG ! tag:evil,2000:\n---\na: !b c",
    "\tname: x",
    "name: x\n\tbaseImage: y",
    "name: 'x",
    'name: "\\x',
    "name: |\n x\n  y\n z: ",
    "name: >-\n",
    "[" * 100_000,
    "{" * 100_000,
    '{"a":' * 50_000,
    "- " * 100_000,
    "a: " * 1000,
    '{"name": NaN}',
    '{"name": 1e400, "baseImage": -Infinity}',
    '{"name": ' + "9" * 6000 + "}",
    '{"name": "\\ud800", "baseImage": "debian-bookworm"}',
    '{"name": "web", "baseImage": "debian-bookworm", "packages": [' + '"nginx",' * 30_000 + '"x"]}',
    "\ufffe\ufeffname",
    "name: web\x00",
    "name: \ud800",
    "a: b: c: d",
    "null",
    "~",
    "0",
    "[]",
    "{}",
    "x" * 300_000,
    "é" * 200_000,
    "name: web\nbaseImage: debian-bookworm\nstartupScripts:\n  - name: x\n    script: " + "x" * 70_000,
)


def refused(read: Callable[[Any], object], given_: Any) -> bool:
    """Read it; answer whether it was refused, as it should be: in words."""
    try:
        read(given_)
    except Verdict as verdict:
        check_problems(verdict.problems, pathless=WHOLE)
        for problem in verdict.problems:
            problem.model_dump_json()
        return True
    return False


def one_form(document: Any) -> None:
    """Hold that a document that is taken is taken again in its canonical form, and stays as it is."""
    try:
        recipe = parse_recipe(document)
    except Verdict as verdict:
        check_problems(verdict.problems, pathless=WHOLE)
        return
    canonical = canonical_recipe(recipe)
    again = parse_recipe(canonical)
    assert again == recipe
    assert digest(canonical_recipe(again)) == digest(canonical)
    assert read_recipe(canonical_json(canonical).decode()) == recipe
    assert read_recipe(yaml.safe_dump(canonical, allow_unicode=True)) == recipe


def one_suite_form(document: Any) -> None:
    """Hold the same of a suite."""
    try:
        suite = parse_suite(document)
    except Verdict as verdict:
        check_problems(verdict.problems, pathless=WHOLE)
        return
    assert parse_suite(suite.document).document == suite.document


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("read", [read_recipe, understood], ids=["recipe", "suite"])
def test_no_text_is_too_much_for_the_reader(read: Callable[[Any], object], text: str) -> None:
    assert refused(read, text)


@pytest.mark.parametrize("depth", [10, 17, 100, 180, 500, 5000])
@pytest.mark.parametrize("read", [read_recipe, understood], ids=["recipe", "suite"])
def test_no_document_is_too_deep_for_the_reader(read: Callable[[Any], object], depth: int) -> None:
    for key in ("name", "packages", "tests", "cases", "parameters", "slots", "unknown"):
        assert refused(read, {"name": "x", "baseImage": "debian-bookworm", key: nested(depth)})


@settings(max_examples=FEW)
@given(RECIPES)
def test_a_recipe_that_is_taken_has_one_form(document: Any) -> None:
    one_form(document)


@settings(max_examples=FEW)
@given(spoilt(RECIPES))
def test_a_spoilt_recipe_is_refused_in_words_or_has_one_form(document: Any) -> None:
    one_form(document)


@settings(max_examples=FEW)
@given(SUITES)
def test_a_suite_that_is_taken_has_one_form(document: Any) -> None:
    one_suite_form(document)


@settings(max_examples=FEW)
@given(spoilt(SUITES))
def test_a_spoilt_suite_is_refused_in_words_or_has_one_form(document: Any) -> None:
    one_suite_form(document)


@settings(max_examples=FEW)
@given(ODD)
def test_what_is_no_document_at_all_is_refused_in_words(value: Any) -> None:
    for read in (parse_recipe, parse_suite):
        assert refused(read, value)


@pytest.mark.faults
@pytest.mark.timeout(900)
@settings(max_examples=MANY)
@given(spoilt(RECIPES))
def test_thousands_of_spoilt_recipes(document: Any) -> None:
    one_form(document)


@pytest.mark.faults
@pytest.mark.timeout(900)
@settings(max_examples=MANY)
@given(spoilt(SUITES))
def test_thousands_of_spoilt_suites(document: Any) -> None:
    one_suite_form(document)
