"""The namespace itself, without machines: kernel settings, packet filter, the tap that leads outside.

All of it is harmless to repeat. The loopback stays down: whatever asks for 127.0.0.1 in here, as QEMU does for
a guest that asks for 10.0.2.2, finds nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from infra.netns.firewall import EGRESS_MARK, TAP, ipv4_rules, ipv6_rules
from infra.netns.models import Surroundings
from infra.netns.plan import GATEWAY, NAMESPACE, SLIRP
from infra.process import run

_SECONDS = 10.0
_TABLE = 100  # the routing table with the way out
_SYSCTL = Path("/proc/sys/net")
# See Documentation/networking/ip-sysctl.rst of the kernel. Bridges made later take "default".
_SETTINGS: Mapping[str, str] = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    # Every refusal is said: a guest that hears nothing waits for its timeout.
    "ipv4/icmp_ratelimit": "0",
    # A link's gateway answers for its own address only.
    "ipv4/conf/all/arp_ignore": "1",
    # Who is not on a link may not send from it. What comes from outside has no route back but by its mark.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "1",
}
# With br_netfilter the rules would see what machines on one bridge say to each other, and refuse it.
_BRIDGED = ("bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables", "bridge/bridge-nf-call-arptables")


async def prepare(resolver_uid: int) -> None:
    """Make the namespace ready for machines; nothing leads outside yet.

    Raises:
        Fault: `command.…`, or OSError when the kernel refuses a setting.

    """
    for name, value in _SETTINGS.items():
        if (_SYSCTL / name).exists():
            (_SYSCTL / name).write_text(value)
    leave_bridges_alone()
    await load_rules(None, resolver_uid)
    if (_SYSCTL / "ipv6").exists():
        await run(["ip6tables-restore", "-w", "5"], timeout=_SECONDS, stdin=ipv6_rules().encode())
    await _make_tap()


def leave_bridges_alone() -> None:
    """Keep the packet filter out of what passes inside a bridge; again and again, as the module may come later."""
    for name in _BRIDGED:
        if (_SYSCTL / name).exists():
            (_SYSCTL / name).write_text("0")


async def load_rules(around: Surroundings | None, resolver_uid: int) -> None:
    """Replace the packet filter's rules.

    Raises:
        Fault: `command.…`.

    """
    await run(["iptables-restore", "-w", "5"], timeout=_SECONDS, stdin=ipv4_rules(around, resolver_uid).encode())


async def links() -> frozenset[str]:
    """Name the namespace's network interfaces."""
    answer = await run(["ip", "-json", "link", "show"], timeout=_SECONDS)
    return frozenset(link["ifname"] for link in json.loads(answer.stdout or b"[]"))


async def batch(*commands: str) -> None:
    """Run commands of ip(8) in order, up to the first that fails.

    Raises:
        Fault: `command.…`.

    """
    await run(["ip", "-batch", "-"], timeout=_SECONDS, stdin="".join(f"{c}\n" for c in commands).encode())


async def _make_tap() -> None:
    """Make the tap to which slirp4netns(1) attaches; it stays when that ends."""
    if TAP not in await links():
        await batch(
            f"tuntap add dev {TAP} mode tap",
            f"address add {NAMESPACE}/{SLIRP.prefixlen} dev {TAP}",
        )
    (_SYSCTL / "ipv4/conf" / TAP / "rp_filter").write_text("0")
    await batch(f"link set {TAP} up", f"route replace default via {GATEWAY} dev {TAP} table {_TABLE}")
    rules = await run(["ip", "-json", "rule", "show"], timeout=_SECONDS)
    if not any(rule.get("table") == str(_TABLE) for rule in json.loads(rules.stdout)):
        await batch(f"rule add fwmark {EGRESS_MARK} lookup {_TABLE} priority {_TABLE}")
