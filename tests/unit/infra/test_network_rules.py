"""The text of the packet filter; that it does what it says is shown in tests/integration/machines."""

from infra.netns.firewall import PRIVATE, ipv4_rules, ipv6_rules
from infra.netns.models import Surroundings

AROUND = Surroundings(own=("192.0.2.1/32",), links=("192.0.2.0/24",), allowed=("192.168.5.0/24",))


def egress(around: Surroundings | None) -> list[str]:
    return [line for line in ipv4_rules(around, 1).splitlines() if line.startswith("-A EGRESS")]


def test_nothing_leads_outside_before_the_surroundings_are_known() -> None:
    assert egress(None) == ["-A EGRESS -j REJECT --reject-with icmp-admin-prohibited"]


def test_the_host_is_refused_before_any_exception_and_its_links_after_them() -> None:
    words = [line.split() for line in egress(AROUND)]
    order = [line[line.index("-d") + 1] if "-d" in line else line[-1] for line in words]
    assert order.index("192.0.2.1/32") < order.index("192.168.5.0/24") < order.index("192.0.2.0/24")
    assert set(PRIVATE) <= set(order)
    assert order[-1] == "ACCEPT"


def test_whatever_is_not_named_is_dropped() -> None:
    for rules in (ipv4_rules(AROUND, 1), ipv6_rules()):
        assert all(f":{chain} DROP" in rules for chain in ("INPUT", "FORWARD", "OUTPUT"))
    assert "ACCEPT" not in ipv6_rules()


def test_nothing_is_forwarded_between_links_nor_out_of_private_networks() -> None:
    forward = [line for line in ipv4_rules(AROUND, 1).splitlines() if line.startswith("-A FORWARD")]
    passing = [line for line in forward if not line.endswith("icmp-admin-prohibited")]
    assert all("tap0" in line and "ofe+" in line for line in passing)
