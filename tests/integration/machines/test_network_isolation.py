"""What a guest reaches and what it does not, with namespaces in the place of guests."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import psutil
import pytest

from activities.machines.networks import GuestNetworks
from domain.errors import Fault, Verdict
from domain.vm.spec import Network
from infra.netns.models import Link
from tests.integration.machines.stage import HOST, LAN, METADATA, NAME, PORT, PUBLIC, Namespace, Stage, stage

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture
async def networks(scene: Stage) -> GuestNetworks:
    await scene.ready()
    networks = GuestNetworks(scene.paths)
    await networks.sweep(())
    return networks


def lan(hostname: str, scope: str = "run") -> tuple[Network, ...]:
    return (Network(name="lan", scope=scope, hostname=hostname),)


async def settled(guest: Namespace, target: tuple[str, int], wanted: str) -> str:
    """Ask until the answer is the wanted one, as long as something may still be on its way up."""
    deadline = time.monotonic() + 10
    while True:
        [answer] = guest.reach(target)
        if answer == wanted or time.monotonic() >= deadline:
            return answer
        await asyncio.sleep(0.1)


async def test_a_guest_with_egress_reaches_the_outside(scene: Stage, networks: GuestNetworks) -> None:
    guest = scene.guest((await networks.plug("vm-a", "org", (), egress=True)).uplink)
    assert await settled(guest, (PUBLIC, PORT), PUBLIC) == PUBLIC


async def test_names_of_the_outside_resolve_with_egress_and_not_without(scene: Stage, networks: GuestNetworks) -> None:
    for egress, expected in ((True, PUBLIC), (False, None)):
        card = (await networks.plug(f"vm-{expected is None}".lower(), "org", (), egress=egress)).uplink
        guest, server = scene.guest(card), str(IPv4Address(card.address) - 1)
        deadline = time.monotonic() + 10
        while resolve(guest, NAME, server) != expected:
            assert time.monotonic() < deadline


async def test_a_guest_without_egress_reaches_nothing_and_is_told_so_at_once(
    scene: Stage, networks: GuestNetworks
) -> None:
    guest = scene.guest((await networks.plug("vm-a", "org", (), egress=False)).uplink)
    answers = guest.reach((PUBLIC, PORT), (HOST, PORT), (LAN, PORT))
    assert all(answer.startswith("refused") for answer in answers), answers


async def test_egress_leads_to_no_service_of_the_host_nor_of_its_lan(scene: Stage, networks: GuestNetworks) -> None:
    guest = scene.guest((await networks.plug("vm-a", "org", (), egress=True)).uplink)
    assert await settled(guest, (PUBLIC, PORT), PUBLIC) == PUBLIC
    assert scene.host.reach((HOST, PORT), ("127.0.0.1", PORT), (LAN, PORT)) == [HOST, "127.0.0.1", LAN]
    forbidden = ["127.0.0.1", HOST, "192.0.2.2", LAN, METADATA, "10.210.0.2", "10.210.0.3", "10.210.0.100"]
    answers = guest.reach(*((address, PORT) for address in forbidden))
    assert all(answer.startswith(("refused", "timeout")) for answer in answers), dict(
        zip(forbidden, answers, strict=True)
    )


async def test_an_address_that_the_host_gets_later_is_shut_too(scene: Stage, networks: GuestNetworks) -> None:
    guest = scene.guest((await networks.plug("vm-a", "org", (), egress=True)).uplink)
    assert await settled(guest, (PUBLIC, PORT), PUBLIC) == PUBLIC
    scene.host.ip("address add 203.0.113.99/32 dev near")
    scene.serve(scene.host, "203.0.113.99")
    assert await settled(scene.host, ("203.0.113.99", PORT), "203.0.113.99") == "203.0.113.99"
    deadline = time.monotonic() + 10
    while not guest.reach(("203.0.113.99", PORT))[0].startswith("refused"):
        assert time.monotonic() < deadline
    scene.host.ip("address del 203.0.113.99/32 dev near")


async def test_machines_of_two_tenants_do_not_reach_each_other(scene: Stage, networks: GuestNetworks) -> None:
    mine = await networks.plug("vm-a", "mine", lan("primary"), egress=True)
    other = await networks.plug("vm-b", "theirs", lan("primary"), egress=True)
    assert mine.networks[0].bridge != other.networks[0].bridge
    guest, target = scene.guest(mine.uplink), scene.guest(other.uplink)
    scene.guest(mine.networks[0], 1, guest)
    scene.guest(other.networks[0], 1, target)
    scene.serve(target, "0.0.0.0")  # noqa: S104 - in a namespace of its own
    assert await settled(target, (other.uplink.address, PORT), other.uplink.address) == other.uplink.address
    gateway = str(IPv4Address(other.uplink.address) - 1)
    answers = guest.reach((other.uplink.address, PORT), (other.networks[0].address, PORT), (gateway, 53))
    assert all(answer.startswith(("refused", "timeout")) for answer in answers), answers


async def test_machines_on_a_network_reach_each_other_and_nothing_more_through_it(
    scene: Stage, networks: GuestNetworks
) -> None:
    cablings = [await networks.plug(f"vm-{host}", "org", lan(host), egress=False) for host in ("client", "server")]
    client, server = (scene.guest(cabling.uplink) for cabling in cablings)
    for guest, cabling in ((client, cablings[0]), (server, cablings[1])):
        scene.guest(cabling.networks[0], 1, guest)
    address = cablings[1].networks[0].address
    scene.serve(server, address)
    assert await settled(client, (address, PORT), address) == address
    client.ip("route del default", f"route add default via {address.rpartition('.')[0]}.1")
    assert client.reach((PUBLIC, PORT))[0].startswith("refused")


async def test_a_spoofed_sender_is_not_forwarded(scene: Stage, networks: GuestNetworks) -> None:
    card = (await networks.plug("vm-a", "org", (), egress=True)).uplink
    guest = scene.guest(card)
    assert await settled(guest, (PUBLIC, PORT), PUBLIC) == PUBLIC
    guest.ip(
        "address add 10.210.200.9/32 dev eth0",
        f"route add 203.0.113.0/24 dev eth0 via {IPv4Address(card.address) - 1} src 10.210.200.9",
    )
    assert guest.reach((PUBLIC, PORT)) == ["timeout"]


async def test_a_card_gets_its_address_by_dhcp_and_names_by_dns(
    scene: Stage, networks: GuestNetworks, tmp_path: Path
) -> None:
    mine = await networks.plug("vm-a", "org", lan("primary"), egress=False)
    other = await networks.plug("vm-b", "org", lan("client"), egress=False)
    await networks.plug("vm-c", "else", lan("secret"), egress=False)
    guest = scene.guest(mine.uplink)
    leases = [
        lease(scene, guest, card, number, tmp_path) for number, card in enumerate((mine.uplink, mine.networks[0]))
    ]
    gateway = leases[0]["router"]
    assert (leases[0]["ip"], leases[0]["dns"]) == (mine.uplink.address, gateway)
    assert leases[1]["ip"] == mine.networks[0].address
    assert not {"router", "dns"} & leases[1].keys()
    asked = {name: resolve(guest, name, gateway) for name in ("client", "client.lan", "client.internal", "secret")}
    address = other.networks[0].address
    assert asked == {"client": address, "client.lan": address, "client.internal": address, "secret": None}


async def test_a_stopped_machine_keeps_its_addresses_and_a_forgotten_one_leaves_nothing(
    scene: Stage, networks: GuestNetworks
) -> None:
    before = await networks.plug("vm-a", "org", lan("primary"), egress=True)
    assert before == await networks.plug("vm-a", "org", lan("primary"), egress=True)
    assert await networks.unplug("vm-a", forget=False) == 1
    assert await networks.unplug("vm-a", forget=False) == 0
    assert before.uplink.bridge not in interfaces(scene)
    assert before == await networks.plug("vm-a", "org", lan("primary"), egress=True)
    assert await networks.sweep(()) == 1
    assert not [name for name in interfaces(scene) if name.startswith("of")]
    assert not scene.running("dnsmasq")
    assert not list((scene.paths.root / "run" / "net").glob("*"))
    with pytest.raises(Fault, match=r"network\.unknown_machine"):
        await networks.open_guest_port("vm-a", 22)


async def test_two_machines_of_a_network_cannot_have_one_name(networks: GuestNetworks) -> None:
    await networks.plug("vm-a", "org", lan("primary"), egress=True)
    with pytest.raises(Verdict, match=r"network\.name_taken"):
        await networks.plug("vm-b", "org", lan("primary"), egress=True)


@pytest.mark.parametrize("victim", ["infra.netns.switchboard", "slirp4netns", "dnsmasq"])
async def test_what_is_killed_comes_back_and_links_go_on(scene: Stage, networks: GuestNetworks, victim: str) -> None:
    guest = scene.guest((await networks.plug("vm-a", "org", (), egress=True)).uplink)
    assert await settled(guest, (PUBLIC, PORT), PUBLIC) == PUBLIC
    killed = scene.running(victim)
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=5)
    deadline = time.monotonic() + 20
    while not scene.running(victim):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert await settled(guest, (PUBLIC, PORT), PUBLIC) == PUBLIC


async def test_a_private_network_can_be_allowed_but_never_the_host_on_it() -> None:
    with stage(OPENFACTORY_EGRESS_ALLOW="192.168.77.0/24") as other:
        await other.ready()
        other.serve(other.host, "192.168.77.1")
        guest = other.guest((await GuestNetworks(other.paths).plug("vm-a", "org", (), egress=True)).uplink)
        assert await settled(guest, (LAN, PORT), LAN) == LAN
        assert guest.reach(("192.168.77.1", PORT))[0].startswith("refused")


def interfaces(scene: Stage) -> list[str]:
    argv = scene.inside().argv("ip", "-json", "link", "show")
    return [link["ifname"] for link in json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)]


def lease(scene: Stage, guest: Namespace, card: Link, number: int, folder: Path) -> dict[str, str]:
    """What a DHCP client on this card is told."""
    if number:
        scene.guest(card, number, guest)
    script, out = folder / "script", folder / f"lease{number}"
    script.write_text(f'#!/bin/sh\n[ "$1" != bound ] || env > {out}\n')
    script.chmod(0o755)
    argv = guest.argv(
        "busybox", "udhcpc", "-i", f"eth{number}", "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", str(script)
    )
    subprocess.run(argv, check=True, timeout=30, capture_output=True)
    return dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)


def resolve(guest: Namespace, name: str, server: str) -> str | None:
    """Ask that nameserver for an address."""
    argv = guest.argv("busybox", "nslookup", "-type=a", f"{name}.", server)
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout
    answers = [line.split()[-1] for line in said.partition("\n\n")[2].splitlines() if line.startswith("Address")]
    return answers[0] if answers else None
