"""How the factory gets into an image without the guest agent."""

from typing import Any

import pytest

from domain.recipe.checks import check_recipe
from domain.recipe.schema import Recipe
from domain.recipe.ssh_access import SshAccess, ssh_access_of

HASH = "$6$salt$abcdefghijkl"


def recipe(**more: Any) -> Recipe:
    return Recipe.model_validate({"name": "web", "baseImage": "debian-trixie", "guestAgent": False, **more})


def ssh(**config: object) -> dict[str, object]:
    return {"name": "ssh", "config": config}


@pytest.mark.parametrize(
    ("given", "access"),
    [
        ({"services": [ssh(allow_root=True, port=2222)]}, SshAccess(port=2222)),
        (
            {"services": [ssh()], "users": [{"username": "ann"}, {"username": "bob", "sudo": True}]},
            SshAccess(user="bob", home="/home/bob"),
        ),
        (
            {"services": [ssh()], "users": [{"username": "bob", "sudo": True, "home": "/srv/bob"}]},
            SshAccess(user="bob", home="/srv/bob"),
        ),
        ({"services": [ssh()], "users": [{"username": "bob", "sudo": True, "password_hash": HASH}]}, None),
        ({"services": [ssh()], "users": [{"username": "bob", "sudo": True, "shell": "/usr/sbin/nologin"}]}, None),
        ({"services": [{**ssh(allow_root=True), "enabled": False}]}, None),
        ({"users": [{"username": "bob", "sudo": True}]}, None),
        ({}, None),
    ],
)
def test_root_or_a_user_with_sudo_and_no_password_is_the_way_in(
    given: dict[str, Any], access: SshAccess | None
) -> None:
    made = recipe(**given)
    assert ssh_access_of(made) == access
    refused = {problem.code for problem in check_recipe(made)} & {"recipe.no_way_to_check"}
    assert bool(refused) is (access is None)


def test_an_image_with_the_agent_is_not_entered_by_ssh() -> None:
    assert ssh_access_of(recipe(guestAgent=True, services=[ssh(allow_root=True)])) is None
