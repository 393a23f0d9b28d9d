"""`command_output`: what a command writes is as claimed."""

from activities.verification.assertions.commands import Run
from activities.verification.check import Check
from domain.recipe.claims import CommandOutput


def check(claim: CommandOutput, suite: str) -> Check:
    """Claim that the command writes this, and ends with this status."""
    run = Run(
        argv=("sh", "-c", claim.command),
        user=claim.user,
        status=claim.status,
        contains=claim.contains,
        matches=claim.matches,
        equals=claim.equals,
        timeout=claim.timeout,
    )
    return Check(
        suite=suite,
        description=f"`{run.short}` writes what is expected",
        opposite=f"`{run.short}` writes something else",
        type="command_output",
        expected=run.expected,
        probe=run.probe,
        judge=run.judge,
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )
