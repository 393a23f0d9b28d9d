"""`network`: an address, a gateway that answers, a nameserver. There is no internet behind the gateway."""

import json

from activities.verification.check import Answer, Check, Finding, Probe, fails, holds
from activities.verification.programs import probe_of

_SUITE = "network"


def checks() -> tuple[Check, ...]:
    """Check the network that the machine was given by DHCP."""
    return (
        Check(
            suite=_SUITE,
            description="the machine has an address",
            type="network.address",
            expected="an address of global scope",
            probe=Probe(argv=("ip", "-json", "address", "show", "scope", "global")),
            judge=_judge_addresses,
            settles=True,
        ),
        Check(
            suite=_SUITE,
            description="the default gateway answers",
            type="network.gateway",
            expected="a default route, and an answer from its gateway",
            probe=probe_of("gateway.sh", limit=20, shown="ip route show default; ip neigh"),
            judge=lambda answer: Finding(passed=answer.status == 0, found=answer.words),
            settles=True,
        ),
        Check(
            suite=_SUITE,
            description="a nameserver is configured",
            type="network.nameserver",
            expected="at least one",
            probe=probe_of("nameservers.sh", limit=20, shown="resolvectl dns || cat /etc/resolv.conf"),
            judge=_judge_nameservers,
            settles=True,
        ),
    )


def _judge_addresses(answer: Answer) -> Finding:
    try:
        links = json.loads(answer.out or "[]")
        found = [info["local"] for link in links for info in link.get("addr_info", ()) if info.get("scope") == "global"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return fails(answer.words)
    return holds(", ".join(map(str, found))) if found else fails("none")


def _judge_nameservers(answer: Answer) -> Finding:
    return holds(", ".join(answer.lines)) if answer.status == 0 and answer.lines else fails("none")
