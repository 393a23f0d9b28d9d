"""`file_exists`: a file or folder, and what is claimed of it, by stat(1). Links are followed."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import FileExists

_FIELDS = 6


def check(claim: FileExists, suite: str) -> Check:
    """Claim that the path is there, with this mode, owner and group if they are named."""
    return Check(
        suite=suite,
        description=f"{claim.path} exists",
        opposite=_opposite(claim),
        type="file_exists",
        expected=_expected(claim),
        probe=Probe(argv=("stat", "-L", "-c", "%a|%U|%u|%G|%g|%F", "--", claim.path), plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _opposite(claim: FileExists) -> str:
    more = _expected(claim).removeprefix(claim.path).removeprefix(", ")
    return f"{claim.path} does not exist" + (f" so: {more}" if more else "")


def _expected(claim: FileExists) -> str:
    parts = [claim.path]
    parts += [f"mode {claim.mode}"] if claim.mode else []
    parts += [f"owner {claim.owner}"] if claim.owner else []
    parts += [f"group {claim.group}"] if claim.group else []
    return ", ".join(parts)


def _judge(claim: FileExists, answer: Answer) -> Finding:
    fields = answer.out.strip().split("|")
    if answer.status != 0 or len(fields) != _FIELDS:
        absent = any(words in answer.err for words in ("No such file", "Not a directory"))
        return fails("no such file") if absent else unknown(answer.words)
    mode, owner, uid, group, gid, kind = fields
    found = f"{kind}, mode {mode.zfill(4)}, {owner}:{group}"
    right = (
        (claim.mode is None or int(claim.mode, 8) == int(mode, 8))
        and claim.owner in {None, owner, uid}
        and claim.group in {None, group, gid}
    )
    return holds(found) if right else fails(found)
