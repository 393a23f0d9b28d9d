"""What is wrong with a recipe's packages, said so that it can be mended."""

import pytest

from activities.imaging.apt_index import parse_stanzas
from activities.imaging.apt_problems import conflicts, not_found, paths_of, similar, virtual
from domain.recipe.schema import Recipe

NAMES = frozenset(
    {"openssh-server", "openssh-client", "nginx", "nginx-light", "vim", "linux-image-amd64", "postgresql"}
)

RIVALS = """\
Reading package lists...
Building dependency tree...
Some packages could not be installed. This may mean that you have
requested an impossible situation.
The following information may help to resolve the situation:

The following packages have unmet dependencies:
 exim4-config : Conflicts: postfix but 3.7.11-0+deb12u1 is to be installed
 exim4-daemon-light : Conflicts: mail-transport-agent
 postfix : Conflicts: mail-transport-agent
E: Unable to correct problems, you have held broken packages.
""".splitlines()

BROKEN = """\
The following packages have unmet dependencies:
 app : Depends: libold (>= 2.0) but it is not installable
       Recommends: libnew but it is not going to be installed
E: Unable to correct problems, you have held broken packages.
""".splitlines()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("openssh-sever", "openssh-server"),
        ("ngnix", "nginx"),
        ("linux-image", "linux-image-amd64"),
        ("nginxx", "nginx"),
    ],
)
def test_the_name_that_was_meant_is_suggested_first(typed: str, meant: str) -> None:
    assert similar(typed, NAMES)[0] == meant


def test_nothing_is_suggested_for_nonsense() -> None:
    assert similar("zzqqxxyyww", NAMES) == ()


def test_an_unknown_package_points_at_its_line_and_says_where_it_was_looked_for() -> None:
    problem = not_found("openssh-sever", "packages[3]", "bookworm/main amd64 (6 names, index 2026-11-22)", NAMES)
    assert problem.code == "package.not_found"
    assert problem.path == "packages[3]"
    assert problem.message == "No package 'openssh-sever' in bookworm/main amd64 (6 names, index 2026-11-22)."
    assert problem.suggestions[0] == "openssh-server"
    assert not problem.retryable


def test_a_package_of_another_suite_is_said_to_be_there() -> None:
    problem = not_found("fastfetch", "packages[0]", "bookworm/main amd64", NAMES, ["trixie"])
    assert "It is in trixie." in problem.message
    assert problem.next is not None
    assert "trixie" in problem.next


def test_a_virtual_name_is_answered_with_those_who_provide_it() -> None:
    problem = virtual("mail-transport-agent", "packages[1]", ["exim4-daemon-light", "postfix"])
    assert (problem.code, problem.suggestions) == ("package.virtual", ("exim4-daemon-light", "postfix"))


def test_rivals_are_named_together() -> None:
    paths = {"curl": "packages[0]", "exim4-daemon-light": "packages[1]", "postfix": "packages[4]"}
    (problem,) = conflicts(RIVALS, paths)
    assert problem.code == "package.conflict"
    assert problem.message == (
        "exim4-daemon-light and postfix both conflict with mail-transport-agent; keep one (packages[1], packages[4])."
    )
    assert problem.path == "packages[4]"


def test_an_unmet_dependency_is_told_in_words() -> None:
    (problem,) = conflicts(BROKEN, {"app": "packages[2]"})
    assert problem.path == "packages[2]"
    assert "app depends on libold (>= 2.0) but it is not installable" in problem.message


def test_a_refusal_without_a_reason_still_quotes_apt() -> None:
    (problem,) = conflicts(["E: Something new in apt"], {})
    assert "Something new in apt" in problem.message
    assert problem.path == "packages"


def test_a_package_named_twice_is_shown_where_it_stands_first() -> None:
    recipe = Recipe(name="x", baseImage="debian-bookworm", packages=("vim", "curl", "vim"))
    assert paths_of(recipe) == {"vim": "packages[0]", "curl": "packages[1]"}


def test_stanzas_keep_their_continuation_lines() -> None:
    text = "Package: a\nTag: one,\n two\n\n\nPackage: b\nVersion: 1:2\n"
    assert parse_stanzas(text.splitlines()) == [
        {"Package": "a", "Tag": "one,\n two"},
        {"Package": "b", "Version": "1:2"},
    ]
