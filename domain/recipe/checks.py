"""Meaning: what is wrong with a recipe whose types are right. Only what is certain is refused.

(`default_packages` is offered here too, next to what it is needed with.)
"""

from collections.abc import Hashable, Iterable, Iterator
from urllib.parse import urlsplit

from domain.errors import Problem
from domain.recipe.assertions import HttpRespondsAssertion, ServiceEnabledAssertion, UserExistsAssertion
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe, SshService, User
from domain.recipe.ssh_keys import fault_of_public_key

__all__ = ["check_recipe", "default_packages", "unit_name"]

# base-passwd's users (Debian Policy 9.2.2) and those of the packages that every image gets.
RESERVED_USERS = frozenset(
    """root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody _apt
    messagebus polkitd sshd systemd-network systemd-resolve systemd-timesync systemd-journal systemd-coredump
    systemd-oom""".split()  # noqa: SIM905 - a list of words reads better as words
)
_SSH_UNITS = frozenset({"ssh.service", "sshd", "sshd.service", "ssh.socket"})


def unit_name(service: str) -> str:
    """Spell a unit in full: `.service` may be left out (systemctl(1))."""
    kinds = (".service", ".socket", ".timer", ".target", ".path", ".mount")
    return service if service.endswith(kinds) else f"{service}.service"


def check_recipe(recipe: Recipe) -> tuple[Problem, ...]:
    """Name everything that contradicts itself or cannot work; nothing for a recipe that can be tried."""
    return tuple(
        problem for check in (_repetitions, _users, _keys, _services, _way_in, _claims) for problem in check(recipe)
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


def _claims(recipe: Recipe) -> Iterator[Problem]:
    disabled = {unit_name(s.name) for s in recipe.services if not s.enabled}
    users = {user.username: user for user in recipe.users}
    for i, test in enumerate(recipe.tests):
        for j, claim in enumerate(test.assertions):
            path = f"tests[{i}].assertions[{j}].params"
            match claim:
                case ServiceEnabledAssertion() if unit_name(claim.params.service) in disabled:
                    yield _contradiction(f"{path}.service", claim.params.service, "the recipe disables this service")
                case UserExistsAssertion() if claim.params.username in users:
                    yield from _user_claim(path, claim, users[claim.params.username])
                case HttpRespondsAssertion() if not _has_valid_port(claim.params.url):
                    yield Problem(
                        code="recipe.bad_value",
                        message=f"`{path}.url` is not an address that can be asked",
                        path=f"{path}.url",
                        value=claim.params.url[:80],
                        next="Give a host, and a port from 1 to 65535 if there is one.",
                    )
                case _:
                    pass


def _user_claim(path: str, claim: UserExistsAssertion, user: User) -> Iterator[Problem]:
    if claim.params.shell not in {None, user.shell}:
        yield _contradiction(f"{path}.shell", claim.params.shell, f"the recipe gives this user {user.shell}")
    if user.home is not None and claim.params.home not in {None, user.home}:
        yield _contradiction(f"{path}.home", claim.params.home, f"the recipe gives this user {user.home}")


def _contradiction(path: str, value: str | None, why: str) -> Problem:
    message = f"`{path}` can never hold: {why}"
    return Problem(code="recipe.contradiction", message=message, path=path, value=value, next="Change one of the two.")


def _has_valid_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, or brackets that do not match
        return False
