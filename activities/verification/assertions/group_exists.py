"""`group_exists`: a group, and its number if claimed, by getent(1)."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import GroupExists

_FIELDS = 4  # group(5)
_NO_SUCH_KEY = 2  # getent(1)


def check(claim: GroupExists, suite: str) -> Check:
    """Claim that the group is there, with this number if it is named."""
    number = f" with gid {claim.gid}" if claim.gid is not None else ""
    return Check(
        suite=suite,
        description=f"group {claim.name} exists",
        opposite=f"group {claim.name} does not exist{number}",
        type="group_exists",
        expected=f"{claim.name}{number}",
        probe=Probe(argv=("getent", "group", "--", claim.name), plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )


def _judge(claim: GroupExists, answer: Answer) -> Finding:
    fields = answer.lines[0].split(":") if answer.lines else []
    if answer.status == _NO_SUCH_KEY and not fields:
        return fails("no such group")
    if answer.status != 0 or len(fields) != _FIELDS:
        return unknown(answer.words)
    found = f"gid {fields[2]}" + (f", members {fields[3]}" if fields[3] else "")
    return holds(found) if claim.gid in {None, _number(fields[2])} else fails(found)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1
