"""`services`: each service of the recipe is as the recipe says."""

from activities.verification.assertions.units import Unit, show
from activities.verification.check import Answer, Check, Finding, fails, holds
from domain.recipe.schema import Recipe

_SUITE = "services"


def checks(recipe: Recipe) -> tuple[Check, ...]:
    """Check each service."""
    return tuple(_check(service.name, enabled=service.enabled) for service in recipe.services)


def _check(name: str, *, enabled: bool) -> Check:
    return Check(
        suite=_SUITE,
        description=f"{name} is {'enabled and runs' if enabled else 'disabled'}",
        type="services.enabled" if enabled else "services.disabled",
        expected="enabled, active" if enabled else "disabled",
        probe=show(name),
        judge=_judge_enabled if enabled else _judge_disabled,
        settles=enabled,
    )


def _judge_enabled(answer: Answer) -> Finding:
    unit = Unit(answer)
    found = f"{unit.file_state}, {unit.state}"
    return holds(found) if (unit.enabled or unit.static) and (unit.active or unit.done) else fails(found)


def _judge_disabled(answer: Answer) -> Finding:
    unit = Unit(answer)
    if unit.masked:
        return holds("masked")
    return holds(unit.file_state) if unit.exists and not unit.enabled else fails(unit.file_state)
