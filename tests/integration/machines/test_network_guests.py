"""Networks as real guests see them: a name, a port from the host, and the walls."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from activities.machines.domain_xml import MachineSpec, Nic, domain_xml
from activities.machines.forwards import PortForwards
from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import Hypervisor
from activities.machines.labels import MachineLabel
from activities.machines.networks import GuestNetworks
from domain.errors import Verdict
from domain.vm.spec import Network, PortForward
from infra.libvirt_client import LibvirtClient, wait_ready
from infra.libvirt_paths import qemu_user
from tests.guests import Behaviour, tiny_guest
from tests.integration.machines.stage import HOST, LAN, METADATA, NAME, PORT, PUBLIC, Stage, stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
_BOOT_SECONDS = 180.0
# One word for each target: what the server there said, or "shut".
_REACH = 'for t in "$@"; do a=$(nc -w 3 ${t%%:*} ${t##*:} 2>/dev/null </dev/null | head -n 1); echo "${a:-shut}"; done'


class Guests:
    """Tiny guests on a stage."""

    def __init__(self, scene: Stage) -> None:
        self.scene = scene
        self.networks = GuestNetworks(scene.paths)
        self._client = LibvirtClient(scene.paths.uri)
        self.hypervisor = Hypervisor(self._client)

    async def boot(self, name: str, behaviour: Behaviour, *, egress: bool, nics: tuple[Nic, ...] = ()) -> LibvirtGuest:
        """Start a machine called `name` on the network that all of them share."""
        networks = (Network(name="lan", scope="run", hostname=name),)
        cabling = await self.networks.plug(name, "org", networks, egress=egress)
        paths = self.scene.paths
        disk, sockets = paths.machines / name / "disk.qcow2", paths.sockets / name
        for folder in (disk.parent, sockets):
            folder.mkdir(parents=True)
            shutil.chown(folder, qemu_user().uid, qemu_user().gid)
        await asyncio.to_thread(shutil.copyfile, await tiny_guest(behaviour), disk)
        shutil.chown(disk, qemu_user().uid, qemu_user().gid)
        spec = MachineSpec(
            name=name,
            label=MachineLabel(job_id=name, artifact="qcow2", expires=0),
            accelerator="tcg",
            memory=256,
            cpus=1,
            sockets=str(paths.inside_sockets(name)),
            disk=str(paths.inside_machine(name) / disk.name),
            nics=(*(Nic(bridge=card.bridge, mac=card.mac) for card in cabling.cards), *nics),
        )
        await self.hypervisor.start_paused(domain_xml(spec))
        await self.hypervisor.resume(name)
        return LibvirtGuest(self.hypervisor, name)

    async def close(self) -> None:
        await self._client.close()


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture
async def guests(scene: Stage) -> AsyncIterator[Guests]:
    await scene.ready()
    await wait_ready(scene.paths.uri, time.monotonic() + 30)
    made = Guests(scene)
    yield made
    await made.close()


async def reach(guest: LibvirtGuest, *targets: str) -> list[str]:
    """Connect to each target from inside the guest."""
    done = await guest.run(("/bin/sh", "-c", _REACH, "reach", *targets), timeout=60)
    return done.stdout.decode(errors="replace").splitlines()


async def answering(guest: LibvirtGuest, hypervisor: Hypervisor, name: str) -> None:
    deadline = time.monotonic() + _BOOT_SECONDS
    while not await hypervisor.agent_listens(name):
        assert time.monotonic() < deadline, "the guest did not come up"
        await asyncio.sleep(0.5)
    await guest.ping()


async def banner(networks: GuestNetworks, machine: str, deadline: float) -> bytes:
    """What the SSH server of a machine says first, as soon as there is one."""
    while True:
        try:
            reader, writer = await networks.open_guest_port(machine, 22)
        except Verdict:
            if time.monotonic() >= deadline:
                raise
        else:
            line = await reader.readline()
            writer.close()
            if line:
                return line
        await asyncio.sleep(0.5)


async def test_two_guests_meet_by_name_and_reach_only_what_they_may(
    scene: Stage, guests: Guests, tmp_path: Path
) -> None:
    client = await guests.boot("client", "well", egress=True, nics=(Nic(),))
    await guests.boot("server", "ssh", egress=False)
    deadline = time.monotonic() + _BOOT_SECONDS
    await answering(client, guests.hypervisor, "client")

    # From the host: a stream to the guest's port, and the same as a port of the loopback.
    assert (await banner(guests.networks, "server", deadline)).startswith(b"SSH-2.0-")
    with pytest.raises(Verdict, match=r"guest\.port_closed"):
        await guests.networks.open_guest_port("server", 23)
    forwards = PortForwards(tmp_path / "forwards.json", guests.networks.open_guest_port)
    opened = await forwards.open("server", PortForward(guest_port=22))
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.host_port)
    assert (await reader.readline()).startswith(b"SSH-2.0-")
    writer.close()
    assert await forwards.close_all("server") == 1

    # By name: DNS alone first, then with /etc/hosts.
    names = await client.run(("nslookup", "server.internal"), timeout=20)
    await guests.networks.introduce("client", client)
    await client.run(("sed", "-i", "/server.lan/d", "/etc/hosts"), timeout=20)
    await guests.networks.introduce("client", client, if_news=True)  # it was told the same: left in peace
    assert b"server.lan" not in (await client.run(("cat", "/etc/hosts"), timeout=20)).stdout
    known = await guests.networks.introduce("client", client)
    hosts = (await client.run(("cat", "/etc/hosts"), timeout=20)).stdout.decode()
    server = next(name.address for name in known if "server" in name.names)
    assert server in names.stdout.decode()
    assert hosts.count(f"{server}\tserver server.lan\n") == 1
    assert "localhost" in hosts
    said = await reach(client, "server:22", "server.lan:22")
    assert all(line.startswith("SSH-2.0-") for line in said), said

    # Outside, and nothing else; the third card is what machines of builds have: QEMU's own network.
    routes = (await client.run(("ip", "route"), timeout=20)).stdout.decode()
    assert await reach(client, f"{PUBLIC}:{PORT}", f"{NAME}:{PORT}") == [PUBLIC, PUBLIC], routes
    uplink = (
        await guests.networks.plug(
            "server", "org", (Network(name="lan", scope="run", hostname="server"),), egress=False
        )
    ).uplink
    forbidden = (HOST, LAN, METADATA, "10.0.2.2", "10.210.0.2", uplink.address)
    assert await reach(client, *(f"{address}:{PORT}" for address in forbidden), f"{uplink.address}:22") == ["shut"] * 7
    await client.run(("ip", "route", "replace", f"{PUBLIC}/32", "via", "10.0.2.2", "dev", "eth2"), timeout=20)
    assert await reach(client, f"{PUBLIC}:{PORT}") == ["shut"]
