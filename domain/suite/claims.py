"""Which claims of a suite an image's recipe speaks against. A package may bring what a recipe does not name: doubts."""

from collections.abc import Iterator

from domain.errors import Problem
from domain.recipe import assertions as a
from domain.recipe.checks import RESERVED_USERS
from domain.recipe.claim_checks import unit_name
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe
from domain.suite.schema import AssertStep, Step, WaitStep


def doubtful(step: Step, path: str, slot: str, recipe: Recipe) -> Iterator[Problem]:
    """Name what the recipe of the slot's image does not have and the step claims."""
    match step:
        case AssertStep():
            claim, where = step.assertion, f"{path}.assertion"
        case WaitStep():
            claim, where = step.until, f"{path}.until"
        case _:
            return
    why = _doubt(claim, recipe)
    if why is not None:
        yield Problem(
            code="suite.may_not_hold",
            message=f"`{where}` will probably not hold on `{slot}`: {why}",
            path=where,
            value=claim.type,
            next="Correct the claim, or bind an image whose recipe has it.",
        )


def _doubt(claim: a.Assertion, recipe: Recipe) -> str | None:
    if claim.negated:
        return None
    match claim:
        case a.PackageInstalledAssertion():
            return _package(claim.params.package, recipe)
        case a.ServiceRunningAssertion() | a.ServiceEnabledAssertion():
            return _service(claim.params.service, recipe)
        case a.UserExistsAssertion():
            return _user(claim.params.username, recipe)
        case _:
            return None


def _package(name: str, recipe: Recipe) -> str | None:
    if name in {*recipe.packages, *default_packages(recipe)}:
        return None
    return f"its recipe does not name the package `{name}`"


def _service(name: str, recipe: Recipe) -> str | None:
    unit = unit_name(name)
    named = {unit_name(service.name): service.enabled for service in recipe.services}
    if named.get(unit) is False:
        return f"its recipe disables `{name}`"
    bare = unit.removesuffix(".service")
    packages = {*recipe.packages, *default_packages(recipe)}
    if unit in named or any(bare in package or package in bare for package in packages):
        return None
    return f"its recipe has neither a service nor a package called `{bare}`"


def _user(name: str, recipe: Recipe) -> str | None:
    if name in RESERVED_USERS or any(user.username == name for user in recipe.users):
        return None
    return f"its recipe has no user `{name}`"
