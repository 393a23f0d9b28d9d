"""`command_succeeds`: a command's exit status is 0."""

from activities.verification.assertions.commands import Run
from activities.verification.check import Check
from domain.recipe.claims import CommandSucceeds


def check(claim: CommandSucceeds, suite: str) -> Check:
    """Claim that the command succeeds."""
    run = Run(argv=("sh", "-c", claim.command), user=claim.user, timeout=claim.timeout)
    return Check(
        suite=suite,
        description=f"`{run.short}` succeeds",
        opposite=f"`{run.short}` fails",
        type="command_succeeds",
        expected=run.expected,
        probe=run.probe,
        judge=run.judge,
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )
