"""Which checks a recipe makes due on each of its images."""

from activities.verification.assertions import checks_of
from activities.verification.check import Check
from activities.verification.suites import boot, login, network, packages, services
from domain.recipe.schema import Recipe
from domain.verification import Bootable


def due_checks(recipe: Recipe, artifact: Bootable) -> tuple[Check, ...]:
    """Everything for the disk image; boot and login for the ISO, which holds the same root file system.

    The first waits until the start is over; all others come after it.
    """
    always = (boot.started(recipe), *boot.checks(), *login.checks(recipe))
    if artifact == "iso":
        return always
    return (*always, *packages.checks(recipe), *network.checks(), *services.checks(recipe), *checks_of(recipe))
