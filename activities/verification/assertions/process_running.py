"""`process_running`: processes by name, from /proc (see `guest/processes.pl`). Zombies do not count."""

from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from activities.verification.programs import probe_of
from domain.recipe.claims import ProcessRunning


def check(claim: ProcessRunning, suite: str) -> Check:
    """Claim that such processes run: as many as `count`, or at least one."""
    of_user = f" of {claim.user}" if claim.user else ""
    many = "at least 1" if claim.count is None else str(claim.count)
    shown = f"pgrep -a{f' -u {claim.user}' if claim.user else ''} {claim.name}"
    return Check(
        suite=suite,
        description=f"process {claim.name}{of_user} runs" + (f" {claim.count} times" if claim.count else ""),
        opposite=f"process {claim.name}{of_user} does not run" + (f" {claim.count} times" if claim.count else ""),
        type="process_running",
        expected=f"{many} {'process' if many.endswith(' 1') or many == '1' else 'processes'} {claim.name}{of_user}",
        probe=probe_of("processes.pl", claim.name, claim.user or "", limit=20, shown=shown),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _judge(claim: ProcessRunning, answer: Answer) -> Finding:
    lines = answer.lines
    word, _, number = lines[-1].partition(" ") if lines else ("", "", "")
    if answer.status != 0 or word != "count" or not number.isdigit():
        return unknown(answer.words)
    count = int(number)
    found = "none" if not count else f"{count}: {', '.join(lines[:-1][:10])}"
    right = count > 0 if claim.count is None else count == claim.count
    return holds(found) if right else fails(found)
