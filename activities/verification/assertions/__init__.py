"""One file per assertion type of the recipe; `checks_of` makes a recipe's tests into checks."""

from activities.verification.assertions import (
    file_exists,
    http_responds,
    package_installed,
    port_listening,
    service_enabled,
    service_running,
    user_exists,
)
from activities.verification.check import Check
from domain.recipe import assertions as a
from domain.recipe.assertions import Assertion
from domain.recipe.schema import Recipe


def checks_of(recipe: Recipe) -> tuple[Check, ...]:
    """Make a check of each assertion, in order; the test's description is the suite's name."""
    return tuple(check_of(claim, test.description) for test in recipe.tests for claim in test.assertions)


def check_of(claim: Assertion, suite: str) -> Check:  # noqa: PLR0911 - one return for each type
    """Make a check of one assertion."""
    match claim:
        case a.UserExistsAssertion():
            return user_exists.check(claim.params, suite)
        case a.PackageInstalledAssertion():
            return package_installed.check(claim.params, suite)
        case a.ServiceRunningAssertion():
            return service_running.check(claim.params, suite)
        case a.ServiceEnabledAssertion():
            return service_enabled.check(claim.params, suite)
        case a.PortListeningAssertion():
            return port_listening.check(claim.params, suite)
        case a.FileExistsAssertion():
            return file_exists.check(claim.params, suite)
        case a.HttpRespondsAssertion():
            return http_responds.check(claim.params, suite)
