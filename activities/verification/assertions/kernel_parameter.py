"""`kernel_parameter`: a word of the kernel's command line, in /proc/cmdline.

Parameters are parted by spaces outside of double quotes, and `-` and `_` in names are the same
(https://docs.kernel.org/admin-guide/kernel-parameters.html).
"""

import re

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import KernelParameter

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


def check(claim: KernelParameter, suite: str) -> Check:
    """Claim that the kernel was started with the parameter, with this value if it is named."""
    wanted = claim.name if claim.value is None else f"{claim.name}={claim.value}"
    return Check(
        suite=suite,
        description=f"the kernel was started with {wanted}",
        opposite=f"the kernel was started without {wanted}",
        type="kernel_parameter",
        expected=wanted,
        probe=Probe(argv=("cat", "/proc/cmdline"), plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )


def _judge(claim: KernelParameter, answer: Answer) -> Finding:
    if answer.status != 0:
        return unknown(answer.words)
    pairs = [_pair(word) for word in _WORD.findall(answer.out)]
    values = [value for name, value in pairs if name == claim.name.replace("-", "_")]
    if not values:
        return fails(f"it is not there: {answer.words}")
    found = ", ".join(claim.name if value is None else f"{claim.name}={value}" for value in values)
    return holds(found) if claim.value is None or claim.value in values else fails(found)


def _pair(word: str) -> tuple[str, str | None]:
    name, equals, value = word.replace('"', "").partition("=")
    return name.replace("-", "_"), value if equals else None
