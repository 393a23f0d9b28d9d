"""The text of a recipe: YAML without its surprises, or JSON."""

import json

import pytest

from domain.errors import Problem, Verdict
from domain.recipe.schema import MAX_BYTES
from service.recipe_text import decode, read_recipe

HEAD = "name: web\nbaseImage: debian-bookworm\n"


def the_problem(text: str | bytes) -> Problem:
    with pytest.raises(Verdict) as caught:
        read_recipe(text)
    assert len(caught.value.problems) == 1, caught.value
    return caught.value.problems[0]


def test_yaml_json_and_a_decoded_document_give_the_same_recipe() -> None:
    text = HEAD + "packages:\n  - nginx\n"
    document = {"name": "web", "baseImage": "debian-bookworm", "packages": ["nginx"]}
    assert read_recipe(text) == read_recipe(text.encode()) == read_recipe(json.dumps(document)) == read_recipe(document)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read_recipe(b"\xef\xbb\xbf" + HEAD.encode()).name == "web"


def test_flow_style_yaml_is_taken_though_it_begins_like_json() -> None:
    assert read_recipe("{name: web, baseImage: debian-bookworm}").name == "web"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0644", "0644"),
        ("1.10", "1.10"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("99999999999999999999", "99999999999999999999"),
        ("<<", "<<"),
        ("22", 22),
        ("-1", -1),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
    ],
)
def test_only_what_looks_like_it_is_more_than_text(text: str, value: object) -> None:
    found = decode(f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_yes_for_a_flag_is_answered_with_what_to_write() -> None:
    found = the_problem(HEAD + "guestAgent: yes\n")
    assert (found.code, found.path, found.suggestions) == ("recipe.wrong_type", "guestAgent", ("true",))


@pytest.mark.parametrize("text", [HEAD + "name: other\n", '{"name": "web", "name": "other"}'])
def test_a_key_that_comes_twice_is_refused_with_its_place(text: str) -> None:
    found = the_problem(text)
    assert found.code == "recipe.duplicate_key"
    assert found.path is not None
    assert found.path.startswith("line ")


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x\n",
        "a: !!python/object/apply:os.system ['true']\n",
        "a: !!binary aGk=\n",
        "a: 1\n---\nb: 2\n",
        "[" * 5000,
        "a: [1, 2\n",
        "a:\n\t- b\n",
        "? [complex]\n: 1\n",
        "a: \x07\n",
        b"\xff\xfe",
        '{"a": ' + "9" * 5000 + "x",
    ],
)
def test_what_cannot_be_read_safely_is_no_document(text: str | bytes) -> None:
    assert the_problem(text).code == "recipe.not_a_document"


def test_a_mistake_has_its_line_and_column() -> None:
    assert the_problem("name: web\nbaseImage: [\n").path == "line 3, column 1"


@pytest.mark.parametrize("text", ["", "   \n", "# only a comment\n", "- a\n", "just text"])
def test_an_empty_text_or_one_without_keys_is_no_recipe(text: str) -> None:
    assert the_problem(text).code == "recipe.not_a_document"


def test_a_text_of_more_than_256_kib_is_not_even_read() -> None:
    assert the_problem("#" * (MAX_BYTES + 1)).code == "recipe.too_large"
