"""`boot`: the system came up, whole and quiet."""

from activities.verification.assertions import no_failed_units
from activities.verification.check import Answer, Check, Finding, Probe, fails, holds
from activities.verification.programs import probe_of
from domain.recipe.claims import NoFailedUnits
from domain.recipe.schema import Recipe

_SUITE = "boot"
_START_SECONDS = 240
# Start-up scripts are given 900 s by their units; a script that hangs is then a failed unit, with its journal.
_START_SECONDS_WITH_SCRIPTS = 960
_KERNEL = 'uname -sr && test -d "/lib/modules/$(uname -r)"'
# Not among them: soft lockups and stalls, which an overloaded host causes under emulation.
_PANIC = "Kernel panic|kernel BUG at|BUG: (unable to handle|kernel NULL)|general protection fault|Oops[: ]"
_OOPS = 'dmesg | grep -E -m 5 "$1"'


def started(recipe: Recipe | None) -> Check:
    """The check that waits for the start to be over; it comes before all others."""
    limit = _START_SECONDS_WITH_SCRIPTS if recipe is not None and recipe.startupScripts else _START_SECONDS
    return Check(
        suite=_SUITE,
        description="the system reaches multi-user",
        type="boot.multi_user",
        expected=f"multi-user.target active within {limit} s",
        probe=probe_of(
            "started.sh",
            limit=limit,
            shown="systemctl is-system-running --wait; systemctl is-active multi-user.target; systemctl list-jobs",
        ),
        judge=_judge_started,
    )


def checks() -> tuple[Check, ...]:
    """What must hold once the start is over."""
    return (
        Check(
            suite=_SUITE,
            description="the installed kernel runs",
            type="boot.kernel",
            expected="a Linux kernel whose modules are in the image",
            probe=Probe(argv=("sh", "-c", _KERNEL), shown=_KERNEL),
            judge=lambda answer: Finding(passed=answer.status == 0, found=answer.words),
        ),
        no_failed_units.check(NoFailedUnits(), _SUITE, kind="boot.no_failed_units"),
        Check(
            suite=_SUITE,
            description="the kernel did not panic or oops",
            type="boot.no_panic",
            expected="nothing of the kind in the kernel's log",
            probe=Probe(argv=("sh", "-c", _OOPS, "sh", _PANIC), shown=f"dmesg | grep -E '{_PANIC}'"),
            judge=_judge_panic,
        ),
    )


def _judge_started(answer: Answer) -> Finding:
    lines = answer.lines
    state, target, jobs = lines[0] if lines else answer.words, "".join(lines[1:2]).strip(), lines[2:]
    if state in {"running", "degraded"} and target == "active":
        return holds(f"{state}, multi-user.target active")
    waiting = f", still waiting for: {'; '.join(' '.join(job.split()) for job in jobs[:5])}" if jobs else ""
    return fails(f"{state}, multi-user.target {target or 'unknown'}{waiting}")


def _judge_panic(answer: Answer) -> Finding:
    if answer.lines:
        return fails(answer.words)
    # grep(1) ends with 1 when it finds nothing.
    return holds("nothing") if answer.status == 1 else fails(answer.words)
