"""One file per assertion type of the recipe; `check_of` makes an assertion into a check."""

from collections.abc import Callable
from typing import Any

from activities.verification.assertions import (
    command_output,
    command_succeeds,
    dns_resolves,
    file_contains,
    file_exists,
    group_exists,
    http_responds,
    kernel_parameter,
    mount_present,
    no_failed_units,
    package_installed,
    package_not_installed,
    ping_reaches,
    port_listening,
    process_running,
    service_enabled,
    service_running,
    sysctl_value,
    user_exists,
)
from activities.verification.check import Check, claimed
from domain.recipe.assertions import Assertion
from domain.recipe.schema import Recipe

# The value's type fits the key's model: `domain.recipe.assertions` ties the two.
CHECKS: dict[str, Callable[[Any, str], Check]] = {
    "command_output": command_output.check,
    "command_succeeds": command_succeeds.check,
    "dns_resolves": dns_resolves.check,
    "file_contains": file_contains.check,
    "file_exists": file_exists.check,
    "group_exists": group_exists.check,
    "http_responds": http_responds.check,
    "kernel_parameter": kernel_parameter.check,
    "mount_present": mount_present.check,
    "no_failed_units": no_failed_units.check,
    "package_installed": package_installed.check,
    "package_not_installed": package_not_installed.check,
    "ping_reaches": ping_reaches.check,
    "port_listening": port_listening.check,
    "process_running": process_running.check,
    "service_enabled": service_enabled.check,
    "service_running": service_running.check,
    "sysctl_value": sysctl_value.check,
    "user_exists": user_exists.check,
}


def checks_of(recipe: Recipe) -> tuple[Check, ...]:
    """Make a check of each assertion, in order; the test's description is the suite's name."""
    return tuple(check_of(claim, test.description) for test in recipe.tests for claim in test.assertions)


def check_of(claim: Assertion, suite: str) -> Check:
    """Make a check of one assertion, or of its opposite if it says `not`."""
    return claimed(CHECKS[claim.type](claim.params, suite), negated=claim.negated, within=claim.within)
