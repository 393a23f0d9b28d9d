"""`service_enabled`: systemd starts the unit at boot."""

from activities.verification.assertions.units import Unit, show
from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from domain.recipe.claims import ServiceClaim


def check(claim: ServiceClaim, suite: str) -> Check:
    """Claim that the service is enabled."""
    return Check(
        suite=suite,
        description=f"service {claim.service} is enabled",
        opposite=f"service {claim.service} is not enabled",
        type="service_enabled",
        expected="enabled",
        probe=show(claim.service),
        judge=_judge,
        params=claim.model_dump(mode="json"),
    )


def _judge(answer: Answer) -> Finding:
    unit = Unit(answer)
    if not unit.known:
        return unknown(answer.words)
    return holds(unit.file_state) if unit.enabled else fails(unit.file_state)
