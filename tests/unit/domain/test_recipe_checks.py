"""The meaning of a recipe: contradictions are found before anything is built."""

from typing import Any

import pytest

from domain.errors import Verdict
from domain.recipe.checks import check_recipe
from domain.recipe.defaults import default_packages
from domain.recipe.parse import parse_recipe
from domain.recipe.schema import Recipe
from tests.unit.domain.keys import ed25519, public_key, rsa


def recipe(**more: object) -> Recipe:
    return Recipe.model_validate({"name": "web", "baseImage": "debian-bookworm", **more})


def found(**more: object) -> dict[str | None, str]:
    return {problem.path: problem.code for problem in check_recipe(recipe(**more))}


def claim(kind: str, **params: object) -> dict[str, Any]:
    return {"description": f"{kind} {params}", "assertions": [{"type": kind, "params": params}]}


def test_a_sound_recipe_has_no_problem() -> None:
    assert not found(
        packages=["nginx"],
        services=[{"name": "ssh", "config": {"disable_password_auth": True}}, {"name": "nginx"}],
        users=[{"username": "ann", "ssh_keys": [ed25519(), rsa(2048)]}],
        tests=[claim("service_enabled", service="nginx"), claim("http_responds", url="http://[::1]:8080/x")],
    )


def test_what_is_named_twice_is_pointed_at_everywhere() -> None:
    script = {"name": "s", "script": "true"}
    assert set(
        found(
            packages=["a1", "b1", "a1"],
            services=[{"name": "nginx"}, {"name": "nginx.service"}],
            users=[{"username": "ann", "uid": 1001, "groups": ["g", "g"]}, {"username": "ann", "uid": 1001}],
            startupScripts=[script, script],
            tests=[claim("port_listening", port=1), claim("port_listening", port=1)],
        )
    ) == {
        "packages[2]",
        "services[1].name",
        "users[1].username",
        "users[1].uid",
        "users[0].groups[1]",
        "startupScripts[1].name",
        "tests[1].description",
    }


@pytest.mark.parametrize("name", ["root", "daemon", "www-data", "sshd", "_apt"])
def test_an_account_of_the_system_cannot_be_a_user(name: str) -> None:
    assert found(users=[{"username": name}]) == {"users[0].username": "recipe.reserved_user"}


def test_a_path_does_not_climb() -> None:
    assert found(users=[{"username": "ann", "home": "/home/../etc"}]) == {"users[0].home": "recipe.bad_value"}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-dss AAAA",
        public_key("ssh-ed25519", b"ssh-rsa", b"x" * 32),
        public_key("ssh-ed25519", b"ssh-ed25519", b"x" * 31),
        public_key("ssh-ed25519", b"ssh-ed25519"),
        ed25519() + "\nssh-ed25519 AAAA",
        'command="sh" ' + ed25519(),
        ed25519().replace("AAAAC3", "AAAAD3"),
        rsa(512),
    ],
)
def test_a_key_that_sshd_would_not_take_is_refused(key: str) -> None:
    assert found(users=[{"username": "ann", "ssh_keys": [key]}]) == {"users[0].ssh_keys[0]": "recipe.bad_ssh_key"}


def test_a_private_key_is_refused_and_never_shown() -> None:
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"
    (problem,) = check_recipe(recipe(users=[{"username": "ann", "ssh_keys": [secret]}]))
    assert problem.code == "recipe.private_key"
    assert "c2VjcmV0" not in problem.model_dump_json()


def test_ssh_without_passwords_needs_a_key() -> None:
    services = [{"name": "ssh", "config": {"disable_password_auth": True}}]
    assert found(services=services) == {"services[0].config.disable_password_auth": "recipe.no_way_in"}
    assert not found(services=services, users=[{"username": "ann", "ssh_keys": [ed25519()]}])


@pytest.mark.parametrize("name", ["sshd", "ssh.service", "ssh.socket"])
def test_the_ssh_server_has_one_name(name: str) -> None:
    (problem,) = check_recipe(recipe(services=[{"name": name}]))
    assert problem.suggestions == ("ssh",)


def test_a_claim_that_the_recipe_itself_makes_false_is_refused() -> None:
    assert found(
        services=[{"name": "cron", "enabled": False}],
        users=[{"username": "ann", "home": "/srv/ann"}],
        tests=[
            claim("service_enabled", service="cron.service"),
            claim("user_exists", username="ann", shell="/bin/zsh", home="/home/ann"),  # noqa: S604 - a field of the claim
        ],
    ) == {
        "tests[0].assertions[0].params.service": "recipe.contradiction",
        "tests[1].assertions[0].params.shell": "recipe.contradiction",
        "tests[1].assertions[0].params.home": "recipe.contradiction",
    }


def test_a_claim_about_a_user_of_a_package_is_left_to_the_image() -> None:
    assert not found(tests=[claim("user_exists", username="www-data")])


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://localhost:0/", "http://[::1/", "http://:80/"])
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    assert found(tests=[claim("http_responds", url=url)]) == {"tests[0].assertions[0].params.url": "recipe.bad_value"}


def test_default_packages_follow_what_the_recipe_asks_for() -> None:
    bare = set(default_packages(recipe(guestAgent=False)))
    assert {"init", "linux-image-amd64", "systemd-resolved", "live-boot"} <= bare
    assert set(default_packages(recipe())) - bare == {"qemu-guest-agent"}
    full = recipe(
        services=[{"name": "ssh"}],
        users=[{"username": "ann", "sudo": True}],
        tests=[claim("http_responds", url="https://localhost/")],
    )
    added = {"qemu-guest-agent", "openssh-server", "openssh-client", "sudo", "curl"}
    assert set(default_packages(full)) - bare == added


def test_default_packages_are_sorted() -> None:
    names = default_packages(recipe())
    assert list(names) == sorted(set(names))


def claims(kind: str, **rest: object) -> dict[str, object]:
    return {"tests": [{"description": "d", "assertions": [{"type": kind, **rest}]}]}


def parsed(document: dict[str, object]) -> Recipe:
    return parse_recipe({"name": "web", "baseImage": "debian-bookworm", **document})


def test_an_opposite_is_part_of_the_canonical_form() -> None:
    given = parsed(claims("port_listening", params={"port": 23}, **{"not": True}, within=5))
    (claim,) = given.tests[0].assertions
    assert (claim.negated, claim.within) == (True, 5)
    dumped = given.model_dump(mode="json")["tests"][0]["assertions"][0]
    assert (dumped["not"], dumped["within"]) == (True, 5)
    assert Recipe.model_validate(given.model_dump(mode="json")) == given


@pytest.mark.parametrize(
    ("document", "code", "path"),
    [
        (claims("file_contains", params={"path": "/f"}), "recipe.bad_value", "tests[0].assertions[0].params"),
        (
            claims("file_contains", params={"path": "/f", "matches": "a(b"}),
            "recipe.bad_value",
            "tests[0].assertions[0].params.matches",
        ),
        (
            claims("package_not_installed", params={"package": "init"}),
            "recipe.contradiction",
            "tests[0].assertions[0].params.package",
        ),
        (
            claims("package_installed", params={"package": "init"}, **{"not": True}),
            "recipe.contradiction",
            "tests[0].assertions[0].params.package",
        ),
        (claims("no_failed_units", params={}, negated=True), "recipe.unknown_key", "tests[0].assertions[0].negated"),
        (claims("port_listening", params={"port": 1}, within=0), "recipe.bad_value", "tests[0].assertions[0].within"),
        (claims("sysctl_value", params={"name": "a", "value": "1"}), "recipe.bad_value", None),
    ],
)
def test_claims_that_cannot_be_right_are_refused(document: dict[str, object], code: str, path: str | None) -> None:
    with pytest.raises(Verdict) as refused:
        parsed(document)
    assert refused.value.code == code
    assert path in {None, refused.value.problems[0].path}


@pytest.mark.parametrize(
    "document",
    [
        claims("no_failed_units"),
        claims("package_not_installed", params={"package": "init"}, **{"not": True}),
        claims("package_installed", params={"package": "init", "version": "0"}, **{"not": True}),
        claims("command_output", params={"command": "id", "equals": ""}),
    ],
)
def test_claims_that_may_be_right_are_taken(document: dict[str, object]) -> None:
    assert parsed(document)
