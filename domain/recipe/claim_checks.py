"""Meaning: what is wrong with a claim, by itself or for its recipe. Only what is certain is refused."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from domain.errors import Problem
from domain.recipe.assertions import (
    Assertion,
    CommandOutputAssertion,
    FileContainsAssertion,
    HttpRespondsAssertion,
    PackageInstalledAssertion,
    PackageNotInstalledAssertion,
    ServiceEnabledAssertion,
    UserExistsAssertion,
)
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe, User


def unit_name(service: str) -> str:
    """Spell a unit in full: `.service` may be left out (systemctl(1))."""
    kinds = (".service", ".socket", ".timer", ".target", ".path", ".mount")
    return service if service.endswith(kinds) else f"{service}.service"


def check_claim(claim: Assertion, path: str) -> Iterator[Problem]:
    """Name what is wrong with one claim, whatever machine it is about; `path` leads to the assertion."""
    match claim:
        case HttpRespondsAssertion() if not _has_valid_port(claim.params.url):
            yield _bad(
                f"{path}.params.url",
                claim.params.url,
                "is not an address that can be asked",
                "Give a host, and a port from 1 to 65535 if there is one.",
            )
        case FileContainsAssertion() | CommandOutputAssertion() if claim.params.matches is not None:
            fault = fault_of_pattern(claim.params.matches)
            if fault is not None:
                yield bad_pattern(f"{path}.params.matches", claim.params.matches, fault)
        case _:
            pass


def fault_of_pattern(pattern: str) -> str | None:
    """Say why a regular expression cannot be used; nothing if it can.

    It is Perl that searches, in the guest; what this accepts, both understand.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None


def bad_pattern(path: str, pattern: str, fault: str) -> Problem:
    """Refuse a regular expression."""
    return _bad(
        path, pattern, f"is no regular expression: {fault}", "Put `\\` before a character that is meant as such."
    )


def check_claim_of_recipe(recipe: Recipe, claim: Assertion, path: str) -> Iterator[Problem]:
    """Name what the recipe itself makes impossible."""
    params = f"{path}.params"
    match claim:
        case ServiceEnabledAssertion():
            states = {unit_name(s.name): s.enabled for s in recipe.services}
            enabled = states.get(unit_name(claim.params.service), not claim.negated)
            if enabled is claim.negated:
                does = "enables" if enabled else "disables"
                yield _contradiction(f"{params}.service", claim.params.service, f"the recipe {does} this service")
        case UserExistsAssertion():
            user = next((u for u in recipe.users if u.username == claim.params.username), None)
            if user is not None:
                yield from _user_claim(params, claim, user)
        case PackageNotInstalledAssertion() | PackageInstalledAssertion():
            there = isinstance(claim, PackageInstalledAssertion) is not claim.negated
            package = claim.params.package
            exact = getattr(claim.params, "version", None)
            if not there and exact is None and package in {*recipe.packages, *default_packages(recipe)}:
                yield _contradiction(f"{params}.package", package, "the recipe installs this package")
        case _:
            pass


def _user_claim(path: str, claim: UserExistsAssertion, user: User) -> Iterator[Problem]:
    params = claim.params
    if claim.negated:
        if not (params.groups or params.shell or params.home):
            yield _contradiction(f"{path}.username", params.username, "the recipe makes this user")
        return
    if params.shell not in {None, user.shell}:
        yield _contradiction(f"{path}.shell", params.shell, f"the recipe gives this user {user.shell}")
    if user.home is not None and params.home not in {None, user.home}:
        yield _contradiction(f"{path}.home", params.home, f"the recipe gives this user {user.home}")


def _contradiction(path: str, value: str | None, why: str) -> Problem:
    message = f"`{path}` can never hold: {why}"
    return Problem(code="recipe.contradiction", message=message, path=path, value=value, next="Change one of the two.")


def _bad(path: str, value: str, why: str, advice: str) -> Problem:
    return Problem(code="recipe.bad_value", message=f"`{path}` {why}", path=path, value=value[:80], next=advice)


def _has_valid_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, or brackets that do not match
        return False
