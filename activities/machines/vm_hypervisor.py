"""Operations on VMs, which stay defined while they are off, and on the QEMU behind one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import libvirt
import libvirt_qemu  # pyright: ignore[reportMissingTypeStubs] - it has none

from activities.machines.hypervisor import Hypervisor
from activities.machines.labels import VmLabel, read_vm_label
from activities.machines.vm_folder import PREFIX
from domain.errors import FactoryError, Fault
from domain.model import Value
from infra.libvirt_client import LibvirtClient

T = TypeVar("T")

_START_SECONDS = 120.0
_MONITOR_SECONDS = 60.0


class VmState(Value):
    """A VM as libvirt lists it; `state` and `reason` are libvirt's numbers (virDomainState and its reasons)."""

    name: str
    label: VmLabel | None
    state: int
    reason: int

    @property
    def is_active(self) -> bool:
        """Whether there is a QEMU."""
        return self.state not in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_NOSTATE)

    @property
    def is_paused(self) -> bool:
        """Whether QEMU is there and runs nothing."""
        return self.state == libvirt.VIR_DOMAIN_PAUSED


class MonitorError(Exception):
    """QEMU refused a command of its monitor; the text is its own."""


class VmHypervisor(Hypervisor):
    """The VMs of one libvirt. Every method raises `Fault` (`hypervisor.…`, `machine.lost`) when it fails.

    What changes something is finished before a cancellation is answered, so that whoever comes next finds a
    VM that is either as before or as asked.
    """

    def __init__(self, client: LibvirtClient) -> None:
        super().__init__(client)
        self._vms = client

    async def define(self, xml: str) -> None:
        """Define a VM, or replace its definition."""
        await settled(self._call(lambda connection: connection.defineXML(xml)))

    async def vms(self) -> tuple[VmState, ...]:
        """All VMs, running or not."""

        def work(connection: libvirt.virConnect) -> tuple[VmState, ...]:
            ours = [domain for domain in connection.listAllDomains() if domain.name().startswith(PREFIX)]
            return tuple(state for state in map(_listed, ours) if state is not None)

        return await self._call(work)

    async def vm(self, name: str) -> VmState | None:
        """One VM; nothing if it is not defined."""

        def work(connection: libvirt.virConnect) -> VmState | None:
            try:
                return _listed(connection.lookupByName(name))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise

        return await self._call(work)

    async def power_on(self, name: str) -> None:
        """Start QEMU, halted before the guest's first instruction.

        Raises:
            Fault: `host.memory`, `host.disk` or `hypervisor.start_failed`.

        """

        def work(connection: libvirt.virConnect) -> None:
            connection.lookupByName(name).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

        try:
            await settled(self._vms.call(work, seconds=_START_SECONDS))
        except libvirt.libvirtError as error:
            raise _start_failed(name, str(error)) from error

    async def power_off(self, name: str) -> None:
        """End QEMU at once; harmless if there is none."""

        def work(connection: libvirt.virConnect) -> None:
            domain = connection.lookupByName(name)
            if domain.isActive():
                try:
                    domain.destroy()
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:  # it ended by itself meanwhile
                        raise

        await settled(self._call(work))

    async def press_power(self, name: str, *, ask_agent: bool) -> None:
        """Ask the guest to switch itself off: by its agent, or by the ACPI power button. It may not do so."""
        flag = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT if ask_agent else libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN

        def work(connection: libvirt.virConnect) -> None:
            try:
                connection.lookupByName(name).shutdownFlags(flag)
            except libvirt.libvirtError as error:
                # An agent that went away, or a QEMU that has just ended: whoever waits will see.
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    raise

        await self._call(work)

    async def monitor(self, name: str, command: str, *, seconds: float = _MONITOR_SECONDS, **arguments: object) -> Any:  # noqa: ANN401 - QEMU's own schema
        """Give QEMU a command (https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html) and answer its `return`.

        An underscore in an argument's name is a hyphen in QEMU's.

        Raises:
            MonitorError: QEMU says no.

        """
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        text = json.dumps({"execute": command, "arguments": words})

        def work(connection: libvirt.virConnect) -> str:
            return libvirt_qemu.qemuMonitorCommand(connection.lookupByName(name), text, 0)

        answer: dict[str, Any] = json.loads(await settled(self._call(work, seconds=seconds)))
        if "error" in answer:
            raise MonitorError(str(answer["error"].get("desc", answer["error"])))
        return answer.get("return")

    async def _call(self, work: Callable[[libvirt.virConnect], T], *, seconds: float = 30.0) -> T:
        try:
            return await self._vms.call(work, seconds=seconds)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                again = "Start the VM again, or delete it."
                raise Fault.because("machine.lost", f"a VM is gone from this host: {error}", next=again) from error
            advice = "Look at the host's libvirt log, then retry."
            raise Fault.because("hypervisor.failed", f"libvirt refused: {error}", next=advice) from error


async def settled(work: Awaitable[T]) -> T:
    """Wait for `work` to end even if the waiting is cancelled; only then answer the cancellation."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # nobody is left to be told
        raise


def _listed(domain: libvirt.virDomain) -> VmState | None:
    """Read a domain; nothing if it has gone meanwhile."""
    try:
        state, reason = map(int, domain.state())
        return VmState(name=domain.name(), label=read_vm_label(domain.XMLDesc()), state=state, reason=reason)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _start_failed(name: str, message: str) -> FactoryError:
    what = f"QEMU of {name} could not be started: {' '.join(message.split())}"
    if "Cannot allocate memory" in message or "cannot set up guest memory" in message:
        return Fault.because("host.memory", what, next="Stop something on the host, then retry.")
    if "No space left on device" in message:
        return Fault.because("host.disk", what, next="Free disk space on the host, then retry.")
    advice = "Read the message and the logs in libvirt/log below the data folder; then retry."
    return Fault.because("hypervisor.start_failed", what, next=advice)
