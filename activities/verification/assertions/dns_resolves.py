"""`dns_resolves`: a name has addresses, as the guest's programs are told by getent(1), so with /etc/hosts."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import DnsResolves

_NO_SUCH_KEY = 2  # getent(1)


def check(claim: DnsResolves, suite: str) -> Check:
    """Claim that the name resolves, to this address if it is named."""
    to = f" to {claim.address}" if claim.address else ""
    return Check(
        suite=suite,
        description=f"{claim.name} resolves{to}",
        opposite=f"{claim.name} does not resolve{to}",
        type="dns_resolves",
        expected=claim.address or "an address",
        probe=Probe(argv=("getent", "ahosts", "--", claim.name), limit=30, plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _judge(claim: DnsResolves, answer: Answer) -> Finding:
    found = list(dict.fromkeys(line.split()[0].lower() for line in answer.lines))
    if answer.status == _NO_SUCH_KEY:
        return fails("no address")
    if answer.status != 0 or not found:
        return unknown(answer.words)
    right = claim.address is None or claim.address.lower() in found
    return holds(", ".join(found)) if right else fails(", ".join(found))
