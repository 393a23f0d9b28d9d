"""Parsing a recipe: one canonical form, or every problem at once."""

from typing import Any

import pytest

from domain.canonical import canonical_json, digest
from domain.errors import Problem, Verdict
from domain.recipe.keys import MAX_PROBLEMS
from domain.recipe.later import LATER_FIELDS
from domain.recipe.parse import parse_recipe
from domain.recipe.schema import Recipe

EMPTY: dict[str, object] = {}
NONE: list[object] = []


def minimal(**more: object) -> dict[str, Any]:
    return {"name": "web", "baseImage": "debian-bookworm", **more}


def problems_of(document: object) -> dict[str, Problem]:
    """What is wrong with the document, by path."""
    with pytest.raises(Verdict) as caught:
        parse_recipe(document)
    return {problem.path or "": problem for problem in caught.value.problems}


def the_problem(document: object) -> Problem:
    found = problems_of(document)
    assert len(found) == 1, found
    return next(iter(found.values()))


def test_the_smallest_recipe_has_a_name_and_a_base() -> None:
    recipe = parse_recipe(minimal())
    assert recipe.suite == "bookworm"
    assert recipe.guestAgent


def test_camel_case_and_snake_case_give_the_same_recipe() -> None:
    scripts = [{"name": "a", "script": "true"}]
    camel = parse_recipe(
        {"name": "web", "baseImage": "debian-bookworm", "startupScripts": scripts}
        | {"users": [{"username": "ann", "sshKeys": NONE, "passwordHash": None}]}
    )
    snake = parse_recipe(
        {"name": "web", "base_image": "debian-bookworm", "startup_scripts": scripts}
        | {"users": [{"username": "ann", "ssh_keys": NONE, "password_hash": None}]}
    )
    assert digest(camel) == digest(snake)


def test_a_default_that_is_spelled_out_changes_nothing() -> None:
    assert digest(parse_recipe(minimal(packages=[], guestAgent=True))) == digest(parse_recipe(minimal()))


def test_the_canonical_document_parses_to_itself() -> None:
    recipe = parse_recipe(
        minimal(
            services=[{"name": "ssh", "config": {"port": 2222}}, {"name": "nginx", "enabled": False}],
            users=[{"username": "ann", "groups": ["www-data"]}],
            tests=[{"description": "d", "assertions": [{"type": "port_listening", "params": {"port": 2222}}]}],
        )
    )
    document = recipe.model_dump(mode="json", by_alias=True)
    assert parse_recipe(document) == recipe == Recipe.model_validate(document)
    assert canonical_json(parse_recipe(document)) == canonical_json(recipe)


def test_both_spellings_of_one_key_are_refused() -> None:
    found = the_problem(minimal(base_image="debian-trixie"))
    assert (found.code, found.path) == ("recipe.duplicate_key", "baseImage")


def test_every_problem_is_named_at_once_with_its_path() -> None:
    found = problems_of(
        {
            "baseImage": "debian-bookwurm",
            "pakages": NONE,
            "packages": ["ok", "Not Ok"],
            "services": [{"name": "ssh", "config": {"port": 70000, "prt": 22}}],
            "users": ["deploy"],
            "tests": [{"description": "d", "assertions": [{"type": "user_exist", "params": EMPTY}]}],
        }
    )
    assert {path: problem.code for path, problem in found.items()} == {
        "name": "recipe.missing_key",
        "baseImage": "recipe.unknown_base",
        "pakages": "recipe.unknown_key",
        "packages[1]": "recipe.bad_value",
        "services[0].config.port": "recipe.bad_value",
        "services[0].config.prt": "recipe.unknown_key",
        "users[0]": "recipe.wrong_type",
        "tests[0].assertions[0].type": "recipe.unknown_assertion",
    }
    assert found["pakages"].suggestions == ("packages",)
    assert found["baseImage"].suggestions[0] == "debian-bookworm"
    assert found["services[0].config.prt"].suggestions == ("port",)
    assert found["tests[0].assertions[0].type"].suggestions[0] == "user_exists"
    assert found["users[0]"].suggestions == ('{"username": "deploy"}',)
    assert all(problem.next for problem in found.values())


def test_a_code_name_alone_suggests_its_base() -> None:
    assert the_problem({"name": "a", "baseImage": "trixie"}).suggestions == ("debian-trixie",)


@pytest.mark.parametrize("field", sorted(LATER_FIELDS))
def test_a_field_of_the_published_format_that_is_not_built_yet_is_named_as_such(field: str) -> None:
    found = the_problem(minimal(**{field: NONE}))
    assert (found.code, found.path) == ("recipe.not_supported_yet", field)


def test_config_is_for_ssh_only() -> None:
    assert the_problem(minimal(services=[{"name": "cron", "config": EMPTY}])).code == "recipe.unknown_key"
    assert the_problem(minimal(services=[{"name": "nginx", "config": EMPTY}])).code == "recipe.not_supported_yet"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": 12}, "name"),
        ({"packages": None}, "packages"),
        ({"packages": "nginx"}, "packages"),
        ({"guestAgent": "yes"}, "guestAgent"),
        ({"guestAgent": 1}, "guestAgent"),
        ({"users": [{"username": "ann", "uid": "1001"}]}, "users[0].uid"),
        ({"users": [{"username": "ann", "uid": True}]}, "users[0].uid"),
        ({"services": [None]}, "services[0]"),
        ({"tests": [{"description": "d", "assertions": ["file"]}]}, "tests[0].assertions[0]"),
    ],
)
def test_types_are_strict_and_the_answer_says_what_to_write(change: dict[str, Any], path: str) -> None:
    found = the_problem(minimal() | change)
    assert (found.code, found.path) == ("recipe.wrong_type", path)


@pytest.mark.parametrize("text", ["$(touch /canary)", "a;b", "a b", "`id`", "../x", "-rf", "a\nb", "a\x00b", "ä", ""])
def test_shell_metacharacters_are_refused_wherever_a_name_goes(text: str) -> None:
    found = problems_of(
        {
            "name": text,
            "baseImage": "debian-bookworm",
            "packages": [text],
            "services": [{"name": text}],
            "users": [{"username": text, "groups": [text], "shell": text}],
            "startupScripts": [{"name": text, "script": "true"}],
        }
    )
    assert set(found) == {
        "name",
        "packages[0]",
        "services[0].name",
        "users[0].username",
        "users[0].groups[0]",
        "users[0].shell",
        "startupScripts[0].name",
    }


@pytest.mark.parametrize("document", [None, "text", 3, [], [1]])
def test_what_is_no_mapping_is_no_recipe(document: object) -> None:
    assert the_problem(document).code == "recipe.not_a_document"


def test_what_json_cannot_hold_is_no_recipe() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (b"bytes", float("nan"), {1, 2}, deep, "\ud800"):
        assert the_problem(minimal(name=value)).code == "recipe.not_a_document"


def test_a_recipe_is_at_most_256_kib() -> None:
    big = [{"name": f"s{i}", "script": "x" * 65536} for i in range(4)]
    assert the_problem(minimal(startupScripts=big)).code == "recipe.too_large"


def test_a_flood_of_mistakes_is_answered_with_the_first_hundred() -> None:
    with pytest.raises(Verdict) as caught:
        parse_recipe(minimal(**{f"x{i}": 1 for i in range(5000)}))
    assert len(caught.value.problems) <= MAX_PROBLEMS


def test_a_long_value_is_shortened_in_the_answer() -> None:
    value = the_problem(minimal(packages=["X" * 5000])).value
    assert value is not None
    assert len(value) <= 80
