"""`service_running`: systemd calls the unit active."""

from activities.verification.assertions.units import Unit, show
from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from domain.recipe.claims import ServiceClaim


def check(claim: ServiceClaim, suite: str) -> Check:
    """Claim that the service runs."""
    return Check(
        suite=suite,
        description=f"service {claim.service} runs",
        opposite=f"service {claim.service} does not run",
        type="service_running",
        expected="active",
        probe=show(claim.service),
        judge=_judge,
        params=claim.model_dump(mode="json"),
        settles=True,
    )


def _judge(answer: Answer) -> Finding:
    unit = Unit(answer)
    if not unit.known:
        return unknown(answer.words)
    return holds(unit.state) if unit.active else fails(unit.state)
