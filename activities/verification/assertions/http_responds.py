"""`http_responds`: one request from inside the guest (see `guest/http.pl`). Redirects are not followed."""

from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from activities.verification.programs import probe_of
from domain.recipe.claims import HttpResponds

_NO_ANSWER = 1  # with 3 it could not be asked


def check(claim: HttpResponds, suite: str) -> Check:
    """Claim that the address answers with this status and, if named, with this text in its body."""
    text = claim.contains or ""
    return Check(
        suite=suite,
        description=f"{claim.url} answers",
        opposite=f"{claim.url} does not answer so",
        type="http_responds",
        expected=f"status {claim.status}" + (f", containing {text[:80]!r}" if text else ""),
        probe=probe_of(
            "http.pl",
            claim.url,
            claim.method,
            str(claim.timeout),
            text,
            limit=claim.timeout + 5,
            shown=f"curl -i -X {claim.method} {claim.url}",
            plain=True,
        ),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _judge(claim: HttpResponds, answer: Answer) -> Finding:
    facts = dict(line.split(" ", 1) for line in answer.lines if " " in line)
    if "status" not in facts:
        said = facts.get("error")
        return fails(said) if said is not None and answer.status == _NO_ANSWER else unknown(said or answer.words)
    found = f"status {facts['status']}, {facts.get('bytes', '?')} bytes"
    if facts["status"] != str(claim.status):
        return fails(found)
    if claim.contains and facts.get("contains") != "yes":
        return fails(f"{found}, without the text")
    return holds(found)
