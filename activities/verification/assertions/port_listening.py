"""`port_listening`: a socket waits on the port, by ss(8)."""

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds, unknown
from domain.recipe.claims import PortListening

_LOCAL = 3  # State, Recv-Q, Send-Q, then the local address
_ANY_V4, _ANY_V6 = "0.0.0.0", "::"  # noqa: S104 - compared with, not bound to


def check(claim: PortListening, suite: str) -> Check:
    """Claim that something listens; a socket on all addresses listens on each of them."""
    where = f"{claim.address or 'any address'}, port {claim.port}/{claim.protocol}"
    kind = "-t" if claim.protocol == "tcp" else "-u"
    return Check(
        suite=suite,
        description=f"port {claim.port}/{claim.protocol} listens",
        opposite=f"nothing listens on {where}",
        type="port_listening",
        expected=f"listening on {where}",
        probe=Probe(argv=("ss", "-H", "-l", "-n", kind, "sport", "=", f":{claim.port}"), plain=True),
        judge=lambda answer: _judge(claim, answer),
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _judge(claim: PortListening, answer: Answer) -> Finding:
    if answer.status != 0:
        return unknown(answer.words)
    found = [_address(fields[_LOCAL]) for line in answer.lines if len(fields := line.split()) > _LOCAL]
    if not found:
        return fails("nothing listens")
    said = f"listening on {', '.join(found)}"
    wanted = claim.address
    return holds(said) if wanted is None or any(_covers(have, wanted) for have in found) else fails(said)


def _address(local: str) -> str:
    """Take the address of `127.0.0.1%lo:53`, `[::]:80` or `*:80`."""
    return local.rpartition(":")[0].partition("%")[0].strip("[]")


def _covers(have: str, wanted: str) -> bool:
    if have in {"*", wanted}:
        return True
    if ":" in wanted:
        return have == _ANY_V6
    return have == _ANY_V4 or (wanted == "*" and have == _ANY_V6)
