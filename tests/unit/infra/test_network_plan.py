"""Addresses and bridges of machines: stable, apart from each other, given back."""

import pytest

from domain.errors import Fault, Verdict
from infra.netns import plan as plans
from infra.netns.models import Plug, Seat
from infra.netns.plan import NETWORKS, SLIRP, UPLINKS, Plan


def plug(machine: str, *hosts: str, egress: bool = True, key: str = "org/run/lan") -> Plug:
    seats = tuple(Seat(key=key, name="lan", hostname=host) for host in hosts)
    return Plug(machine=machine, egress=egress, seats=seats)


def test_each_machine_has_a_link_of_its_own_outside_the_way_outs_own_addresses() -> None:
    plan = Plan().plug(plug("a")).plug(plug("b", egress=False))
    one, other = plan.machines["a"], plan.machines["b"]
    assert not one.subnet.overlaps(other.subnet)
    assert not one.subnet.overlaps(SLIRP)
    assert one.subnet.subnet_of(UPLINKS)
    assert (one.bridge[:3], other.bridge[:3]) == ("ofe", "ofn")
    assert plan.cabling("a").uplink.mac != plan.cabling("b").uplink.mac


def test_a_repeated_request_changes_nothing() -> None:
    plan = Plan().plug(plug("a", "primary"))
    assert plan.plug(plug("a", "primary")) is plan


def test_machines_with_the_same_key_share_a_network_and_know_each_other() -> None:
    plan = Plan().plug(plug("a", "primary")).plug(plug("b", "client")).plug(plug("c", "primary", key="other/run/lan"))
    [one], [two], [stranger] = (plan.cabling(machine).networks for machine in "abc")
    assert one.bridge == two.bridge != stranger.bridge
    assert {name.names for name in plan.names("a")} == {("primary", "primary.lan"), ("client", "client.lan")}
    assert [name.address for name in plan.names("c")] == [stranger.address]
    assert plan.subnet("org/run/lan").subnet_of(NETWORKS)


def test_a_name_is_given_once_in_a_network() -> None:
    plan = Plan().plug(plug("a", "primary"))
    with pytest.raises(Verdict, match=r"network\.name_taken"):
        plan.plug(plug("b", "primary"))
    with pytest.raises(Verdict, match=r"network\.name_taken"):
        plan.plug(plug("b", "client", "server"))


def test_addresses_stay_when_a_machine_changes_and_come_back_when_it_is_forgotten() -> None:
    before = Plan().plug(plug("a", "primary")).plug(plug("b", "client"))
    after = before.plug(plug("b", "client", egress=False))
    assert after.cabling("b").networks == before.cabling("b").networks
    assert after.cabling("b").uplink.address == before.cabling("b").uplink.address
    assert after.cabling("b").uplink.bridge != before.cabling("b").uplink.bridge
    emptied = after.forget("a").forget("b").forget("b")
    assert (emptied.machines, emptied.networks) == ({}, {})
    later = emptied.plug(plug("c")).cabling("c").uplink.address
    assert later not in {before.cabling(machine).uplink.address for machine in "ab"}


def test_a_full_host_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "LAST_UPLINK", plans.FIRST_UPLINK)
    plan = Plan().plug(plug("a"))
    with pytest.raises(Fault, match=r"network\.full"):
        plan.plug(plug("b"))
    assert plan.forget("a").plug(plug("b")).machines["b"].uplink == plans.FIRST_UPLINK


def test_names_of_bridges_fit_the_kernels_limit() -> None:
    assert len(f"{plans.NETWORK_PREFIX}{plans.LAST_NETWORK}") <= 15
    assert len(f"{plans.EGRESS_PREFIX}{plans.LAST_UPLINK}") <= 15
