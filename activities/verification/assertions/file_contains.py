"""`file_contains`: text or a regular expression in a file (see `guest/search.pl`). Links are followed."""

from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from activities.verification.programs import probe_of
from domain.recipe.claims import FileContains

_NO_FILE = 2


def check(claim: FileContains, suite: str) -> Check:
    """Claim that the file holds the text and matches the expression, whichever is given."""
    looked_for = wanted(claim.contains, claim.matches)
    searched = claim.matches if claim.contains is None else claim.contains
    return Check(
        suite=suite,
        description=f"{claim.path} contains {looked_for}",
        opposite=f"{claim.path} does not contain {looked_for}",
        type="file_contains",
        expected=looked_for,
        probe=probe_of(
            "search.pl",
            claim.path,
            *conditions(claim.contains, claim.matches),
            limit=20,
            shown=f"grep {'-F' if claim.contains is not None else '-P'} -- {searched!r} {claim.path}"[:280],
            plain=True,
        ),
        judge=_judge,
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def conditions(contains: str | None, matches: str | None, equals: str | None = None) -> tuple[str, ...]:
    """Write down what is looked for as the guest's programs take it."""
    given = {"contains": contains, "matches": matches, "equals": equals}
    return tuple(f"{name}={text}" for name, text in given.items() if text is not None)


def wanted(contains: str | None, matches: str | None, equals: str | None = None) -> str:
    """Say what is looked for, for people."""
    parts = [repr(contains[:80])] if contains is not None else []
    parts += [f"a match of /{matches[:80]}/"] if matches is not None else []
    parts += [f"exactly {equals[:80]!r}"] if equals is not None else []
    return " and ".join(parts)


def _judge(answer: Answer) -> Finding:
    facts = dict(line.split(" ", 1) for line in answer.lines if " " in line)
    if answer.status == _NO_FILE:
        return fails("no such file")
    if answer.status != 0 or "bytes" not in facts:
        return unknown(facts.get("error", answer.words))
    size = f"{facts['bytes']} bytes"
    missing = [name for name in ("contains", "matches") if facts.get(name) == "no"]
    if not missing:
        return holds(f"{size}, found" + (f": {facts['line']}" if facts.get("line") else ""))
    words = {"contains": "without the text", "matches": "no match"}
    return fails(f"{size}, {' and '.join(words[name] for name in missing)}")
