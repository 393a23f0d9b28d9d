"""VMs of one test on the host that all tests share, and what must be left of them: nothing."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from activities.machines import vm_models as m
from activities.machines.forwards import PortForwards
from activities.machines.networks import GuestNetworks
from activities.machines.vm_machines import LibvirtVms
from activities.vm_ref import VmRef
from domain.errors import Fault
from domain.vm.spec import ImageRef, VmSpec
from infra.netns.relay import Stream
from tests.guests import upload
from tests.integration.machines.conftest import House


class Yard:
    """The VMs, and what the host told of them."""

    def __init__(self, house: House, vms: LibvirtVms, image: ImageRef) -> None:
        self.house = house
        self.vms = vms
        self.spec = VmSpec(name="t", image=image, memory=192, disk=64, firmware="bios")
        self.made: list[str] = []
        self.seen: list[tuple[str, m.VmObserved]] = []

    @property
    def paths(self) -> tuple[Path, Path]:
        return self.house.daemon.paths.machines, self.house.daemon.paths.sockets

    def ref(self) -> VmRef:
        self.made.append(str(uuid.uuid4()))
        return VmRef(vm_id=self.made[-1], org_id="o", token=1)

    async def create(self, spec: VmSpec | None = None) -> VmRef:
        vm = self.ref()
        await self.vms.create(m.CreateVm(vm=vm, spec=spec or self.spec))
        return vm

    async def start(self) -> VmRef:
        vm = await self.create()
        await self.vms.start(m.StartVm(vm=vm))
        return vm

    async def power(self, vm: VmRef) -> m.VmSeen:
        return await self.vms.inspect(m.InspectVm(vm=vm))

    async def remove(self, vm: VmRef) -> int:
        return (await self.vms.delete(m.DeleteVm(vm=vm))).removed

    async def observe(self, vm: VmRef, observed: m.VmObserved) -> None:
        self.seen.append((vm.vm_id, observed))

    async def told(self, vm: VmRef, seconds: float = 15.0) -> m.VmObserved:
        async with asyncio.timeout(seconds):
            while True:
                for vm_id, observed in self.seen:
                    if vm_id == vm.vm_id:
                        return observed
                await asyncio.sleep(0.05)

    def left(self) -> list[str]:
        """All that VMs leave on a host, but for the cached images."""
        paths = self.house.daemon.paths
        roots = (paths.machines, paths.sockets, paths.root / "etc" / "qemu", paths.root / "log" / "qemu")
        found = [str(p) for root in roots if root.exists() for p in root.rglob("vm-*")]
        found += [str(p) for p in (paths.root / "lib" / "qemu").rglob("*vm-*")]
        return found + [p.name() for p in self.house.daemon.descendants("qemu")]


async def nowhere(machine: str, port: int) -> Stream:
    """Lead a forward to a guest without a link of its own: it listens, and that is all."""
    raise Fault.because("machine.no_uplink", f"{machine} has no link", value=str(port))


@asynccontextmanager
async def yard_of(house: House, *, seconds: float = 300.0, networks: bool = False) -> AsyncGenerator[Yard]:
    """Make VMs, with `networks` on links of their own, and remove all of them afterwards."""
    links = GuestNetworks(house.daemon.paths) if networks else None
    forwards = PortForwards(house.settings.run / "forwards.json", links.open_guest_port if links else nowhere)
    vms = house.vms(seconds, links, forwards)
    made = Yard(house, vms, await upload(house.objects))
    try:
        yield made
        for vm_id in made.made:
            await vms.delete(m.DeleteVm(vm=VmRef(vm_id=vm_id, org_id="o", token=1 << 40)))
    finally:
        await vms.close()
        await forwards.shutdown()
    assert made.left() == []
