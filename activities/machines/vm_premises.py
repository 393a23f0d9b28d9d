"""What the parts of a VM's life share: where things are, who is asked, whose turn it is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from activities.machines.serial_ports import SerialPorts
from activities.machines.vm_folder import VmFolder, VmRecord, vm_name
from activities.machines.vm_hypervisor import VmHypervisor
from activities.machines.vm_leases import Leases
from activities.machines.vm_ports import Forwards, Networks, Ssh
from activities.vm_ref import VmRef
from domain.errors import FactoryError, Fault
from infra.libvirt_paths import LibvirtPaths


class Stirring:
    """Wakes who waits for something to happen to a VM; what it was they find out themselves."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """What is set when something happens from now on; who looks first and then waits takes it before the look."""
        return self._next

    def happened(self) -> None:
        """Wake all who wait."""
        event, self._next = self._next, asyncio.Event()
        event.set()


@dataclass(frozen=True)
class Premises:
    """One host's. Without `networks` a VM has a card on QEMU's own network, which leads nowhere."""

    paths: LibvirtPaths
    hypervisor: VmHypervisor
    networks: Networks | None = None
    forwards: Forwards | None = None
    ssh: Ssh | None = None
    serial: SerialPorts = field(default_factory=SerialPorts)
    leases: Leases = field(default_factory=Leases)
    stirring: Stirring = field(default_factory=Stirring)
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock], init=False)

    def folder(self, vm_id: str) -> VmFolder:
        """The folders of a VM, whether they are there or not."""
        return VmFolder(self.paths, vm_name(vm_id))

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncGenerator[None]:
        """Let one thing at a time change a VM."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            yield

    def is_busy(self, name: str) -> bool:
        """Whether something is changing the VM just now."""
        turn = self._turns.get(name)
        return turn is not None and turn.locked()

    @asynccontextmanager
    async def ending(self, folder: VmFolder, record: VmRecord) -> AsyncGenerator[None]:
        """Say that a VM is to be off while it is ended; what fails with its QEMU still there takes that back.

        Otherwise the watcher would not mind a VM that goes on running.
        """
        if record.wanted != "stopped":
            folder.write(record.model_copy(update={"wanted": "stopped"}))
        try:
            yield
        except BaseException:
            await asyncio.shield(self._take_back(folder, record))
            raise

    async def close_forwards(self, name: str) -> int:
        """Close the forwards of a VM that is off; answers how many there were."""
        return 0 if self.forwards is None else await self.forwards.close_all(name)

    def forget(self, name: str) -> None:
        """Give up the turns of a VM that is gone and that nobody waits for."""
        turn = self._turns.get(name)
        if turn is not None and not turn.locked():
            del self._turns[name]

    def admit(self, vm: VmRef) -> tuple[VmFolder, VmRecord]:
        """Let a request to a VM that is here pass.

        Raises:
            Verdict: `lease.superseded`.
            Fault: `machine.lost` if the VM is not here.

        """
        folder = self.folder(vm.vm_id)
        self.leases.admit(vm, folder)
        record = folder.record
        if record is None:
            raise Fault.because(
                "machine.lost",
                f"the VM {vm.vm_id} is not on this host",
                next="Delete the VM and create it again.",
            )
        return folder, record

    async def _take_back(self, folder: VmFolder, record: VmRecord) -> None:
        wanted = record.wanted
        with suppress(FactoryError):  # nobody knows then, and the watcher finds out what it was
            state = await self.hypervisor.vm(folder.name)
            wanted = "running" if state is not None and state.is_active else "stopped"
        folder.write(record.model_copy(update={"wanted": wanted}))
