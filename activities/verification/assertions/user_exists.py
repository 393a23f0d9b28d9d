"""`user_exists`: an account, and what is claimed of it, by getent(1) and id(1)."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import UserExists

_FIELDS = 7  # passwd(5)
_NO_SUCH_KEY = 2  # getent(1)
_PROGRAM = 'getent passwd -- "$1" && id -nG -- "$1"'


def check(claim: UserExists, suite: str) -> Check:
    """Claim that the user is there, with these groups, shell and home if they are named."""
    name = claim.username
    return Check(
        suite=suite,
        description=f"user {name} exists",
        opposite=_opposite(claim),
        type="user_exists",
        expected=_expected(claim),
        probe=Probe(argv=("sh", "-c", _PROGRAM, "sh", name), shown=f"getent passwd {name}; id -nG {name}"),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
    )


def _opposite(claim: UserExists) -> str:
    more = _expected(claim).removeprefix(claim.username).removeprefix(", ")
    return f"user {claim.username} does not exist" + (f" so: {more}" if more else "")


def _expected(claim: UserExists) -> str:
    parts = [claim.username]
    parts += [f"in {', '.join(claim.groups)}"] if claim.groups else []
    parts += [f"shell {claim.shell}"] if claim.shell else []
    parts += [f"home {claim.home}"] if claim.home else []
    return ", ".join(parts)


def _judge(claim: UserExists, answer: Answer) -> Finding:
    lines = answer.lines
    fields = lines[0].split(":") if lines else []
    if answer.status == _NO_SUCH_KEY and not lines:
        return fails("no such user")
    if answer.status != 0 or len(fields) != _FIELDS:
        return unknown(answer.words)
    groups = set(lines[1].split()) if len(lines) > 1 else set[str]()
    home, shell = fields[5], fields[6]
    wrong = [f"not in {group}" for group in claim.groups if group not in groups]
    wrong += [f"shell {shell}"] if claim.shell not in {None, shell} else []
    wrong += [f"home {home}"] if claim.home not in {None, home} else []
    if wrong:
        return fails(", ".join(wrong))
    return holds(f"uid {fields[2]}, groups {' '.join(sorted(groups))}, home {home}, shell {shell}")
