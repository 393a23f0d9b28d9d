"""Recipes are changed by merge patches and named edits, and the difference is told entry by entry."""

from typing import Any

import pytest

from domain.recipe.difference import Difference, differences
from domain.recipe.edits import EDITS, MOST_EDITS, apply_edits
from domain.recipe.keys import MAX_DEPTH, too_deep
from domain.recipe.merge_patch import merge_patch
from domain.recipe.parse import parse_recipe

START: dict[str, Any] = parse_recipe(
    {
        "name": "web",
        "baseImage": "debian-bookworm",
        "packages": ["nginx", "curl"],
        "services": [{"name": "ssh"}, {"name": "nginx"}],
        "users": [{"username": "deploy"}],
        "tests": [{"description": "web", "assertions": [{"type": "port_listening", "params": {"port": 80}}]}],
    }
).model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_its_specification_says(target: object, patch: object, result: object) -> None:
    assert merge_patch(target, patch) == result


def test_the_named_edits_make_a_recipe_of_a_recipe() -> None:
    edited, problems = apply_edits(
        START,
        [
            {"edit": "add_package", "name": "htop"},
            {"edit": "add_package", "name": "nginx"},
            {"edit": "remove_package", "name": "curl"},
            {"edit": "add_user", "username": "ops", "sudo": True},
            {"edit": "disable_service", "name": "nginx"},
            {"edit": "enable_service", "name": "cron"},
            {"edit": "add_startup_script", "name": "hello", "script": "echo hello"},
            {"edit": "remove_test", "description": "web"},
            {"edit": "set", "path": "services.ssh.config.port", "value": 2222},
            {"edit": "set", "path": "users.deploy.shell", "value": "/bin/sh"},
            {"edit": "set", "path": "name", "value": "web-two"},
        ],
    )
    assert problems == ()
    recipe = parse_recipe(edited)
    assert recipe.name == "web-two"
    assert recipe.packages == ("nginx", "htop")
    assert recipe.ssh is not None
    assert recipe.ssh.port == 2222
    assert {user.username: user.shell for user in recipe.users} == {"deploy": "/bin/sh", "ops": "/bin/bash"}
    assert {s.name: s.enabled for s in recipe.services} == {"ssh": True, "nginx": False, "cron": True}
    assert (len(recipe.tests), len(recipe.startupScripts)) == (0, 1)
    assert "htop" not in START["packages"]


def test_a_path_knows_an_entry_whose_name_has_dots() -> None:
    start = {
        **START,
        "tests": [
            {"description": "nginx 1.22 runs.", "required": True},
            {"description": "nginx 1.22 runs.twice", "required": True},
        ],
        "services": [{"name": "nginx.service", "enabled": True}],
    }
    edited, problems = apply_edits(
        start,
        [
            {"edit": "set", "path": "tests.nginx 1.22 runs..required", "value": False},
            {"edit": "set", "path": "tests.nginx 1.22 runs.twice.required", "value": None},
            {"edit": "set", "path": "services.nginx.service.enabled", "value": False},
            {"edit": "set", "path": "services.nginx.socket.enabled", "value": False},
        ],
    )
    assert [test["required"] for test in edited["tests"]] == [False, None]
    assert edited["services"] == [{"name": "nginx.service", "enabled": False}]
    assert [(p.code, p.path, p.suggestions) for p in problems] == [
        ("edit.nothing_there", "edits[3]", ("nginx.service",))
    ]


def test_everything_that_is_wrong_with_the_edits_is_told_at_once() -> None:
    _, problems = apply_edits(
        START,
        [
            {"edit": "add_pakage", "name": "x"},
            {"edit": "remove_package", "name": "ngnix"},
            {"edit": "add_user"},
            {"edit": "add_user", "username": "deploy"},
            {"edit": "remove_user", "username": "nobody"},
            {"edit": "set", "path": "services.sshd.config.port", "value": 1},
            {"edit": "set", "path": "name"},
            {"edit": "set", "path": "guestAgent.x.y", "value": 1},
            {},
        ],
    )
    assert [(p.code, p.path) for p in problems] == [
        ("edit.unknown", "edits[0].edit"),
        ("edit.nothing_there", "edits[1]"),
        ("edit.incomplete", "edits[2].username"),
        ("edit.already_there", "edits[3].username"),
        ("edit.nothing_there", "edits[4]"),
        ("edit.nothing_there", "edits[5]"),
        ("edit.incomplete", "edits[6].value"),
        ("edit.nothing_there", "edits[7]"),
        ("edit.unknown", "edits[8].edit"),
    ]
    assert problems[0].suggestions[0] == "add_package"
    assert problems[1].suggestions == ("nginx",)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("value", [None, 1, [], {}, "x" * 9999, "\0"])
def test_hostile_edits_are_problems_and_never_errors(edit: str, value: object) -> None:
    rest = dict.fromkeys(("name", "username", "description", "path", "value"), value)
    edited, problems = apply_edits(START, [{"edit": edit, **rest}])
    assert isinstance(edited, dict)
    assert all(problem.path for problem in problems)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("base_image", "debian-trixie"),
        ("BaseImage", "debian-trixie"),
        ("guest_agent", True),
        ("startup_scripts.hello.script", "echo bye"),
        ("services.ssh.config.allowRoot", True),
        ("users.deploy.sshKeys", []),
        ("users.deploy.passwordHash", None),
    ],
)
def test_an_edit_takes_a_path_in_either_spelling(path: str, value: object) -> None:
    script = {"edit": "add_startup_script", "name": "hello", "script": "echo hello"}
    before, _ = apply_edits(START, [script])
    edited, problems = apply_edits(before, [{"edit": "set", "path": path, "value": value}])
    assert problems == ()
    assert [set(entry) for entry in (edited, *edited["users"])] == [set(entry) for entry in (START, *START["users"])]
    parse_recipe(edited)


def test_no_key_comes_twice_by_edits_in_two_spellings() -> None:
    key = START["users"][0]["ssh_keys"]
    without = {name: value for name, value in START.items() if name != "startupScripts"}
    edited, problems = apply_edits(
        without,
        [
            {"edit": "set", "path": "startup_scripts", "value": [{"name": "one", "script": "true"}]},
            {"edit": "add_startup_script", "name": "two", "script": "true"},
            {"edit": "set", "path": "startup_scripts.two.script", "value": "false"},
            {"edit": "add_user", "username": "ops", "sshKeys": key, "passwordHash": None},
            {"edit": "set", "path": "users.ops.ssh_keys", "value": key},
            {"edit": "set", "path": "users.ops.password_hash", "value": None},
            {"edit": "set", "path": "services.ssh.config", "value": {"allowRoot": False}},
            {"edit": "set", "path": "services.ssh.config.allow_root", "value": True},
        ],
    )
    assert problems == ()
    recipe = parse_recipe(edited)
    assert [script.script for script in recipe.startupScripts] == ["true", "false"]
    assert recipe.ssh is not None
    assert recipe.ssh.allow_root


def in_each_other(depth: int) -> dict[str, Any]:
    """Make a mapping in a mapping in a mapping."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def chained(count: int, depth: int) -> list[dict[str, Any]]:
    """Make edits each of which puts a value into what the one before put in."""
    return [
        {"edit": "set", "path": ".".join(["x", *"a" * (depth * number)]), "value": in_each_other(depth)}
        for number in range(count)
    ]


@pytest.mark.parametrize("depth", [1, 7, MAX_DEPTH - 2, 150, 400])
def test_edits_that_reach_into_one_another_make_nothing_deeper_than_a_recipe(depth: int) -> None:
    edited, problems = apply_edits(START, chained(MOST_EDITS, depth))
    assert not too_deep(edited)
    assert problems
    assert {problem.code for problem in problems} == {"recipe.not_a_document"}
    for problem in problems:
        assert problem.path
        assert problem.next


@pytest.mark.parametrize("edit", ["add_user", "add_test", "add_startup_script", "enable_service"])
def test_an_entry_that_is_deeper_than_a_recipe_is_not_added(edit: str) -> None:
    rest = dict.fromkeys(("name", "username", "description"), "new")
    edited, problems = apply_edits(START, [{"edit": edit, **rest, "config": in_each_other(MAX_DEPTH)}])
    assert edited == START
    assert [(p.code, p.path) for p in problems] == [("recipe.not_a_document", "edits[0].config")]


def test_what_just_fits_is_put_in_and_judged_with_the_recipe() -> None:
    fits, deep = in_each_other(MAX_DEPTH - 2), in_each_other(MAX_DEPTH - 1)
    edited, problems = apply_edits(START, [{"edit": "set", "path": "x", "value": fits}])
    assert (edited["x"], problems, too_deep(edited)) == (fits, (), False)
    assert too_deep({**START, "x": deep})
    assert apply_edits(START, [{"edit": "set", "path": "x", "value": deep}])[0] == START


def test_looking_for_a_similar_name_takes_no_longer_with_very_many() -> None:
    many = {**START, "packages": [f"package-{number}" for number in range(5_000)]}
    _, [early, late] = apply_edits(
        many, [{"edit": "remove_package", "name": name} for name in ("pakage-12", "elsewhere")]
    )
    assert early.suggestions
    assert late.suggestions == tuple(many["packages"][:5])


def test_edits_without_end_are_refused() -> None:
    _, problems = apply_edits(START, [{"edit": "add_package", "name": "x"}] * (MOST_EDITS + 1))
    assert [problem.code for problem in problems] == ["edit.too_many"]


def test_a_difference_names_entries_by_what_identifies_them() -> None:
    after, _ = apply_edits(
        START,
        [
            {"edit": "add_package", "name": "htop"},
            {"edit": "remove_package", "name": "curl"},
            {"edit": "set", "path": "services.ssh.config.port", "value": 2222},
            {"edit": "remove_user", "username": "deploy"},
        ],
    )
    found = differences(START, after)
    assert found[:3] == (
        Difference(kind="removed", path="packages.curl", before="curl"),
        Difference(kind="added", path="packages.htop", after="htop"),
        Difference(kind="changed", path="services.ssh.config.port", before=22, after=2222),
    )
    assert (found[3].kind, found[3].path) == ("removed", "users.deploy")
    assert differences(START, START) == ()
