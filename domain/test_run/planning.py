"""What the verification of one machine does: the tests that every image has to pass, then its recipe's own."""

from domain.recipe.schema import Recipe
from domain.suite.schema import AssertStep, PredefinedTest
from domain.test_run.inputs import RunCase, RunMachine, RunPlan, RunTarget

SLOT = "primary"
_ALWAYS: tuple[PredefinedTest, ...] = ("boot", "network", "no-failed-units")
_OF_A_RECIPE: tuple[PredefinedTest, ...] = ("boot", "login", "packages", "network", "services")
_OF_AN_ISO: tuple[PredefinedTest, ...] = ("boot", "login")  # it holds the same root file system as the disk image


def plan_verification(name: str, target: RunTarget, machine: RunMachine, *, hold_seconds: int = 0) -> RunPlan:
    """Plan the verification of an image or of a VM that runs; without a recipe only what any system must do."""
    recipe = None if machine.recipe is None else Recipe.model_validate(machine.recipe)
    iso = machine.image is not None and machine.image.format == "iso"
    tests = _ALWAYS if recipe is None else _OF_AN_ISO if iso else _OF_A_RECIPE
    cases = [RunCase(name=test, kind="predefined", slot=machine.slot, predefined=test) for test in tests]
    if recipe is not None and not iso:
        cases += _own(recipe, machine.slot)
    return RunPlan(
        kind="verification",
        name=name,
        target=target,
        machines=(machine,),
        cases=tuple(cases),
        hold_seconds=hold_seconds,
    )


def _own(recipe: Recipe, slot: str) -> list[RunCase]:
    return [
        RunCase(
            name=f"recipe: {test.description}",
            kind="recipe",
            slot=slot,
            steps=tuple(AssertStep(action="assert", slot=slot, assertion=claim) for claim in test.assertions),
        )
        for test in recipe.tests
    ]
