"""`sysctl_value`: a kernel setting below /proc/sys, named as for sysctl(8). White space between values is one space."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import SysctlValue

_SWAPPED = str.maketrans("./", "/.")


def check(claim: SysctlValue, suite: str) -> Check:
    """Claim that the setting has this value."""
    return Check(
        suite=suite,
        description=f"{claim.name} is {claim.value}",
        opposite=f"{claim.name} is not {claim.value}",
        type="sysctl_value",
        expected=_plain(claim.value),
        probe=Probe(argv=("cat", "--", f"/proc/sys/{_file(claim.name)}"), shown=f"sysctl -n {claim.name}", plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json"),
    )


def _file(name: str) -> str:
    """Put `/` between the parts: a name whose first separator is a dot has its dots and slashes swapped."""
    first = next((c for c in name if c in "./"), ".")
    return name.translate(_SWAPPED) if first == "." else name


def _judge(claim: SysctlValue, answer: Answer) -> Finding:
    if answer.status != 0:
        return fails("no such setting") if "No such file" in answer.err else unknown(answer.words)
    found = _plain(answer.out)
    return holds(found) if found == _plain(claim.value) else fails(found[:300] or "empty")


def _plain(text: str) -> str:
    return " ".join(text.split())
