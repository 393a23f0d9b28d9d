"""`ping_reaches`: an ICMP echo request is answered (RFC 792, RFC 4443). See `guest/ping.sh`: no ping(8) is needed."""

from activities.verification.check import Answer, Check, Finding, fails, holds, unknown
from activities.verification.programs import probe_of, text_of
from domain.recipe.claims import PingReaches

_NO_ANSWER = 1


def check(claim: PingReaches, suite: str) -> Check:
    """Claim that the host answers within the time."""
    return Check(
        suite=suite,
        description=f"{claim.host} answers a ping",
        opposite=f"{claim.host} does not answer a ping",
        type="ping_reaches",
        expected=f"an answer within {claim.timeout} s",
        probe=probe_of(
            "ping.sh",
            claim.host,
            str(claim.timeout),
            text_of("ping.pl"),
            limit=claim.timeout + 10,
            shown=f"ping -c 1 -W {claim.timeout} {claim.host}",
            plain=True,
        ),
        judge=_judge,
        params=claim.model_dump(mode="json", exclude_defaults=True),
        settles=True,
    )


def _judge(answer: Answer) -> Finding:
    if answer.status == 0:
        return holds(answer.words)
    return fails(answer.words) if answer.status == _NO_ANSWER else unknown(answer.words)
