"""Meaning: what is wrong with a recipe whose types are right. Only what is certain is refused.

(`default_packages` is offered here too, next to what it is needed with.)
"""

from collections.abc import Hashable, Iterable, Iterator

from domain.errors import Problem
from domain.recipe.claim_checks import check_claim, check_claim_of_recipe, unit_name
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe, SshService
from domain.recipe.ssh_access import ssh_access_of
from domain.recipe.ssh_keys import fault_of_public_key

__all__ = ["check_recipe", "default_packages", "unit_name"]

# base-passwd's users (Debian Policy 9.2.2) and those of the packages that every image gets.
RESERVED_USERS = frozenset(
    """root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody _apt
    messagebus polkitd sshd systemd-network systemd-resolve systemd-timesync systemd-journal systemd-coredump
    systemd-oom""".split()  # noqa: SIM905 - a list of words reads better as words
)
_SSH_UNITS = frozenset({"ssh.service", "sshd", "sshd.service", "ssh.socket"})


def check_recipe(recipe: Recipe) -> tuple[Problem, ...]:
    """Name everything that contradicts itself or cannot work; nothing for a recipe that can be tried."""
    return tuple(
        problem
        for check in (_repetitions, _users, _keys, _services, _way_in, _way_to_check, _claims)
        for problem in check(recipe)
    )


def _repetitions(recipe: Recipe) -> Iterator[Problem]:
    yield from _repeated((f"packages[{i}]", name) for i, name in enumerate(recipe.packages))
    yield from _repeated((f"services[{i}].name", unit_name(s.name)) for i, s in enumerate(recipe.services))
    yield from _repeated((f"users[{i}].username", u.username) for i, u in enumerate(recipe.users))
    yield from _repeated((f"users[{i}].uid", u.uid) for i, u in enumerate(recipe.users) if u.uid is not None)
    yield from _repeated((f"startupScripts[{i}].name", s.name) for i, s in enumerate(recipe.startupScripts))
    yield from _repeated((f"tests[{i}].description", t.description) for i, t in enumerate(recipe.tests))
    for i, user in enumerate(recipe.users):
        yield from _repeated((f"users[{i}].groups[{j}]", name) for j, name in enumerate(user.groups))


def _repeated(items: Iterable[tuple[str, Hashable]]) -> Iterator[Problem]:
    first: dict[Hashable, str] = {}
    for path, value in items:
        if value in first:
            yield Problem(
                code="recipe.duplicate",
                message=f"`{path}` repeats `{first[value]}`",
                path=path,
                value=str(value),
                next="Keep one of the two.",
            )
        first.setdefault(value, path)


def _users(recipe: Recipe) -> Iterator[Problem]:
    for i, user in enumerate(recipe.users):
        if user.username in RESERVED_USERS:
            yield Problem(
                code="recipe.reserved_user",
                message=f"`{user.username}` is an account of the system itself",
                path=f"users[{i}].username",
                value=user.username,
                next="Choose another name; root needs no entry, `sudo: true` gives its rights to a user.",
            )
        for key, path in (("home", user.home), ("shell", user.shell)):
            if path is not None and ".." in path.split("/"):
                yield Problem(
                    code="recipe.bad_value",
                    message=f"`users[{i}].{key}` must not contain `..`",
                    path=f"users[{i}].{key}",
                    value=path,
                    next="Give the path that is meant.",
                )


def _keys(recipe: Recipe) -> Iterator[Problem]:
    for i, user in enumerate(recipe.users):
        for j, key in enumerate(user.ssh_keys):
            fault = fault_of_public_key(key)
            if fault is None:
                continue
            private = "private key" in fault
            yield Problem(
                code="recipe.private_key" if private else "recipe.bad_ssh_key",
                message=f"`users[{i}].ssh_keys[{j}]` {fault}",
                path=f"users[{i}].ssh_keys[{j}]",
                value=None if private else f"{key[:40]}…",  # a secret is never shown again
                next="Paste one line as it stands in a `.pub` file.",
            )


def _services(recipe: Recipe) -> Iterator[Problem]:
    for i, service in enumerate(recipe.services):
        if not isinstance(service, SshService) and service.name in _SSH_UNITS:
            yield Problem(
                code="recipe.bad_value",
                message=f"the SSH server is called `ssh` in a recipe, not `{service.name}`",
                path=f"services[{i}].name",
                value=service.name,
                suggestions=("ssh",),
                next="Write `name: ssh`.",
            )


def _way_in(recipe: Recipe) -> Iterator[Problem]:
    for i, service in enumerate(recipe.services):
        if not isinstance(service, SshService) or not service.enabled or not service.config.disable_password_auth:
            continue
        if not any(user.ssh_keys for user in recipe.users):
            yield Problem(
                code="recipe.no_way_in",
                message="passwords are switched off for SSH, but no user has a key: nobody could log in",
                path=f"services[{i}].config.disable_password_auth",
                next="Give a user `ssh_keys`, or leave passwords on.",
            )


def _way_to_check(recipe: Recipe) -> Iterator[Problem]:
    if not recipe.guestAgent and ssh_access_of(recipe) is None:
        yield Problem(
            code="recipe.no_way_to_check",
            message="without the guest agent the image is checked over SSH, but nobody could become root there",
            path="guestAgent",
            value="false",
            next="Leave the agent in; or let root log in (`allow_root`), or give a user `sudo` and no password.",
        )


def _claims(recipe: Recipe) -> Iterator[Problem]:
    for i, test in enumerate(recipe.tests):
        for j, claim in enumerate(test.assertions):
            path = f"tests[{i}].assertions[{j}]"
            yield from check_claim(claim, path)
            yield from check_claim_of_recipe(recipe, claim, path)
