"""The namespace's packet filter as text for iptables-restore(8). Pure.

The rules are the same whatever machines there are, because they go by the names of bridges: `ofe…` is the
uplink of one machine that may reach out, `ofn…` of one that may not, `ofp…` a private network, `tap0` the way
out. What is not allowed is refused, so that nobody waits for a timeout. A table is replaced as a whole or not at all.

There are two layers. Routing: only what comes from an `ofe…` is marked and finds a way out at all; what the
namespace itself sends, and with it a QEMU with a user-mode network card, finds none (`infra.netns.base`). And
these rules, which hold whatever the routes are.
"""

from collections.abc import Iterable

from infra.netns.models import Surroundings
from infra.netns.plan import CLOSED_PREFIX, EGRESS_PREFIX, NAMESERVER, NETWORK_PREFIX, NETWORKS, UPLINKS

TAP = "tap0"
EGRESS_MARK = 1
RELAY_MARK = 2
CONNECTIONS = 512
_REFUSE = "REJECT --reject-with icmp-admin-prohibited"
# What is not a public unicast address (IANA's special-purpose registries, RFC 6890), but for the nets of
# documentation. 169.254.0.0/16 has the clouds' metadata services, 100.64.0.0/10 carriers' own machines.
PRIVATE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)


def ipv4_rules(around: Surroundings | None, resolver_uid: int) -> str:
    """Write the rules; without knowledge of the surroundings nothing leads outside.

    `resolver_uid` is whom dnsmasq runs as: it alone may ask the nameserver beyond the tap.
    """
    uplinks = (EGRESS_PREFIX, CLOSED_PREFIX)
    lines = [
        "*mangle",
        f"-A PREROUTING -i {EGRESS_PREFIX}+ -j MARK --set-mark {EGRESS_MARK}",
        "COMMIT",
        "*nat",
        f"-A POSTROUTING -s {UPLINKS} -o {TAP} -j MASQUERADE",
        "COMMIT",
        "*filter",
        ":INPUT DROP",
        ":FORWARD DROP",
        ":OUTPUT DROP",
        ":EGRESS -",
        *_input(uplinks),
        *_forward(),
        *_output(resolver_uid),
        *_egress(around),
        "COMMIT",
    ]
    return "\n".join(lines) + "\n"


def ipv6_rules() -> str:
    """Let no IPv6 packet into, out of or through the namespace; machines on one bridge do not pass through here."""
    return "*filter\n:INPUT DROP\n:FORWARD DROP\n:OUTPUT DROP\nCOMMIT\n"


def _input(uplinks: Iterable[str]) -> Iterable[str]:
    """Serve DHCP on all links, names on uplinks; a link's own address only, not those of other links."""
    here = "-m addrtype --dst-type LOCAL --limit-iface-in"
    yield "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    for prefix in (*uplinks, NETWORK_PREFIX):
        yield f"-A INPUT -i {prefix}+ -p udp --dport 67 -j ACCEPT"
        yield f"-A INPUT -i {prefix}+ -p icmp --icmp-type echo-request {here} -j ACCEPT"
    for prefix in uplinks:
        for protocol in ("udp", "tcp"):
            yield f"-A INPUT -i {prefix}+ -p {protocol} --dport 53 {here} -j ACCEPT"
    for prefix in (*uplinks, NETWORK_PREFIX):
        yield f"-A INPUT -i {prefix}+ -j {_REFUSE}"


def _forward() -> Iterable[str]:
    out, back = f"-i {EGRESS_PREFIX}+ -o {TAP}", f"-i {TAP} -o {EGRESS_PREFIX}+"
    for way in (out, back):
        yield f"-A FORWARD {way} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    yield f"-A FORWARD {out} -j EGRESS"
    for prefix in (EGRESS_PREFIX, CLOSED_PREFIX, NETWORK_PREFIX):
        yield f"-A FORWARD -i {prefix}+ -j {_REFUSE}"


def _output(resolver_uid: int) -> Iterable[str]:
    yield "-A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    for prefix in (EGRESS_PREFIX, CLOSED_PREFIX, NETWORK_PREFIX):
        yield f"-A OUTPUT -o {prefix}+ -p udp --sport 67 --dport 68 -j ACCEPT"
    for prefix in (EGRESS_PREFIX, CLOSED_PREFIX):
        yield f"-A OUTPUT -o {prefix}+ -p tcp -m mark --mark {RELAY_MARK} -j ACCEPT"
    for protocol in ("udp", "tcp"):
        yield (
            f"-A OUTPUT -o {TAP} -d {NAMESERVER} -p {protocol} --dport 53 -m owner --uid-owner {resolver_uid} -j ACCEPT"
        )


def _egress(around: Surroundings | None) -> Iterable[str]:
    """Let through what is neither the host, nor near it, nor private; the host itself is never excepted."""
    if around is None:
        yield f"-A EGRESS -j {_REFUSE}"
        return
    for net in (*around.own, str(UPLINKS), str(NETWORKS), "127.0.0.0/8"):
        yield f"-A EGRESS -d {net} -j {_REFUSE}"
    many = f"-m connlimit --connlimit-above {CONNECTIONS} --connlimit-mask 32 --connlimit-saddr"
    yield f"-A EGRESS {many} -j {_REFUSE}"  # the way out is one process for all
    for net in around.allowed:
        yield f"-A EGRESS -d {net} -j ACCEPT"
    for net in (*around.links, *PRIVATE):
        yield f"-A EGRESS -d {net} -j {_REFUSE}"
    yield "-A EGRESS -j ACCEPT"
