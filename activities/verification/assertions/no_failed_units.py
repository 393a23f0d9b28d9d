"""`no_failed_units`: systemd calls no unit failed; those that are, with the last lines of their journals."""

from collections.abc import Collection

from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from activities.verification.programs import probe_of
from domain.recipe.claim_checks import unit_name
from domain.recipe.claims import NoFailedUnits

_SHOWN = 1500


def check(claim: NoFailedUnits, suite: str, kind: str = "no_failed_units") -> Check:
    """Claim that no unit has failed, those of `ignore` left aside."""
    ignored = {unit_name(name) for name in claim.ignore}
    but = f" but {', '.join(sorted(ignored))}" if ignored else ""
    return Check(
        suite=suite,
        description=f"no unit{but} has failed",
        opposite=f"a unit{but} has failed",
        type=kind,
        expected="none",
        probe=probe_of("failed_units.sh", limit=60, shown="systemctl --failed; journalctl -b -u <unit>"),
        judge=lambda answer: _judge(ignored, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )


def _judge(ignored: Collection[str], answer: Answer) -> Finding:
    if answer.status != 0:
        return unknown(answer.words)
    units: dict[str, list[str]] = {}
    for line in answer.lines:
        if line.startswith(" "):
            next(reversed(units.values()), list[str]()).append(line)
        else:
            units[line] = []
    failed = {name: journal for name, journal in units.items() if name not in ignored}
    if not failed:
        return holds("none")
    text = "\n".join(line for name, journal in failed.items() for line in (name, *journal))
    return fails(f"{', '.join(failed)}\n{text[:_SHOWN]}")
