"""`packages`: the package manager works, and what was asked for is there."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds
from activities.verification.programs import probe_of
from domain.recipe.defaults import default_packages
from domain.recipe.schema import Recipe

_SUITE = "packages"


def checks(recipe: Recipe) -> tuple[Check, ...]:
    """Check dpkg's records, apt's dependencies, and every package of the recipe and of the defaults."""
    wanted = tuple(sorted({*recipe.packages, *default_packages(recipe)}))
    return (
        Check(
            suite=_SUITE,
            description="every package is fully installed",
            type="packages.audit",
            expected="nothing to complain about",
            probe=Probe(argv=("dpkg", "--audit"), limit=60),
            judge=_judge_quiet,
        ),
        Check(
            suite=_SUITE,
            description="apt works and all dependencies are met",
            type="packages.apt",
            expected="no broken dependency",
            probe=Probe(argv=("apt-get", "-qq", "check"), limit=120),
            judge=lambda answer: holds("none") if answer.status == 0 else fails(answer.words),
        ),
        Check(
            suite=_SUITE,
            description="all requested packages are installed",
            type="packages.requested",
            expected=f"{len(wanted)} packages",
            probe=probe_of("missing.pl", *wanted, limit=60, shown="dpkg-query -W"),
            judge=lambda answer: _judge_missing(len(wanted), answer),
        ),
    )


def _judge_quiet(answer: Answer) -> Finding:
    if answer.status == 0 and not answer.lines:
        return holds("nothing")
    return fails(answer.words)


def _judge_missing(wanted: int, answer: Answer) -> Finding:
    if answer.status != 0:
        return fails(answer.words)
    if answer.lines:
        return fails(f"not installed: {', '.join(answer.lines)[:300]}")
    return holds(f"{wanted} packages")
