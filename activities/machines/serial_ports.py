"""The serial ports of this host's VMs, each read all the time by this process, for their consoles."""

from collections.abc import Callable

from activities.machines.serial_port import SerialPort, SerialTap
from activities.machines.vm_folder import VmFolder, vm_name


class SerialPorts:
    """The open ports by VM. What was read before a worker ended is in the VM's folder."""

    def __init__(self) -> None:
        self._ports: dict[str, SerialPort] = {}

    def find(self, name: str) -> SerialPort | None:
        """The port of the VM named `name`, open or closed."""
        return self._ports.get(name)

    async def open(self, folder: VmFolder, *, fresh: bool) -> SerialPort:
        """Read the port of a VM from now on; a `fresh` start forgets what earlier boots said.

        Raises:
            OSError: there is no such port.

        """
        known = self._ports.get(folder.name)
        if known is not None and known.is_open and not fresh:
            return known
        await self.close(folder.name)
        port = SerialPort(folder.path)
        await port.open(folder.sockets / "s")
        self._ports[folder.name] = port
        return port

    async def close(self, name: str) -> None:
        """Stop reading; harmless to repeat."""
        port = self._ports.pop(name, None)
        if port is not None:
            await port.close()

    async def close_all(self) -> None:
        """Stop reading all of them; the machines go on."""
        for name in tuple(self._ports):
            await self.close(name)

    def attach(self, vm_id: str, listener: Callable[[bytes], None]) -> SerialTap | None:
        """Let `listener` have what the guest writes from now on; nothing if the port is not open."""
        port = self._ports.get(vm_name(vm_id))
        return port.attach(listener) if port is not None and port.is_open else None
