"""Single operations on the machines of one libvirt, with typed answers; nothing about jobs or booting."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import libvirt
import libvirt_qemu  # pyright: ignore[reportMissingTypeStubs] - it has none

from activities.machines.domain_xml import agent_connected
from activities.machines.labels import MachineLabel, read_label
from domain.errors import Fault
from domain.model import Value
from infra.libvirt_client import LibvirtClient

T = TypeVar("T")

_START_SECONDS = 60.0
_SCREENSHOT_BYTES = 64 << 20
_PREFIX = "of-"


class Condition(Enum):
    """How a machine is, as far as a job cares."""

    RUNNING = "running"
    PANICKED = "panicked"
    DISK_FULL = "disk_full"
    OFF = "off"
    KILLED = "killed"
    GONE = "gone"


class Listed(Value):
    """A machine of this host. Without a label it is broken or none of the factory's."""

    name: str
    label: MachineLabel | None


class AgentError(Exception):
    """The guest agent did not do what it was asked. `silent` tells no answer from an unwelcome one."""

    def __init__(self, message: str, *, silent: bool) -> None:
        super().__init__(message)
        self.silent = silent


class Hypervisor:
    """The machines of the libvirt behind `client`. Every method raises `Fault` (`hypervisor.…`) when it fails."""

    def __init__(self, client: LibvirtClient) -> None:
        self._client = client

    async def start_paused(self, xml: str) -> None:
        """Define a machine and start it, halted before its first instruction.

        A cancellation is answered only when libvirt is done, so that whoever cleans up then finds the machine.

        Raises:
            Fault: `hypervisor.start_failed` when QEMU cannot be started like this.

        """

        def work(connection: libvirt.virConnect) -> None:
            domain = connection.defineXML(xml)
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

        start = asyncio.create_task(self._client.call(work, seconds=_START_SECONDS))
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            await asyncio.wait((start,))
            raise
        except libvirt.libvirtError as error:
            raise Fault.because(
                "hypervisor.start_failed",
                f"QEMU could not be started: {error}",
                next="Read the message and the logs in libvirt/log below the data folder; then retry.",
            ) from error

    async def resume(self, name: str) -> None:
        """Let a paused machine run."""
        await self._on(name, lambda domain: domain.resume())

    async def condition(self, name: str) -> Condition:
        """Tell how the machine is."""
        try:
            state, reason = map(int, await self._on(name, lambda domain: domain.state()))
        except _NoSuchMachineError:
            return Condition.GONE
        return condition_of(state, reason)

    async def agent_listens(self, name: str) -> bool:
        """Whether something in the guest holds the agent's channel open."""
        return agent_connected(await self._on(name, lambda domain: domain.XMLDesc()))

    async def label(self, name: str) -> MachineLabel | None:
        """Read the machine's label; nothing if there is no such machine or it has none."""
        try:
            return read_label(await self._on(name, lambda domain: domain.XMLDesc()))
        except _NoSuchMachineError:
            return None

    async def remove(self, name: str) -> bool:
        """Destroy and forget the machine; answers whether there was one."""

        def work(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                _unless(libvirt.VIR_ERR_OPERATION_INVALID, domain.destroy)  # it may end by itself meanwhile
            flags = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            domain.undefineFlags(flags)

        try:
            await self._on(name, work)
        except _NoSuchMachineError:
            return False
        return True

    async def machines(self) -> tuple[Listed, ...]:
        """All machines that are named like the factory's."""

        def work(connection: libvirt.virConnect) -> tuple[Listed, ...]:
            ours = [domain for domain in connection.listAllDomains() if domain.name().startswith(_PREFIX)]
            return tuple(Listed(name=domain.name(), label=read_label(domain.XMLDesc())) for domain in ours)

        try:
            return await self._client.call(work)
        except libvirt.libvirtError as error:
            raise _failed("", error) from error

    async def screenshot(self, name: str) -> bytes:
        """The machine's screen, as PNG or as a portable pixmap: what this libvirt makes."""

        def work(domain: libvirt.virDomain) -> bytes:
            stream = domain.connect().newStream()
            domain.screenshot(stream, 0)
            parts: list[bytes] = []
            while (part := stream.recv(1 << 18)) and sum(map(len, parts)) < _SCREENSHOT_BYTES:
                parts.append(part)
            stream.finish()
            return b"".join(parts)

        return await self._on(name, work)

    async def agent(self, name: str, command: str, seconds: int) -> str:
        """Ask the guest agent; JSON in, JSON out (https://qemu.readthedocs.io/en/latest/interop/qemu-ga-ref.html).

        Raises:
            AgentError: no answer within `seconds`, or an error as the answer.

        """

        def work(domain: libvirt.virDomain) -> str:
            return libvirt_qemu.qemuAgentCommand(domain, command, seconds, 0)

        try:
            return await self._raw(name, work, seconds + 10.0)
        except libvirt.libvirtError as error:
            code = error.get_error_code()
            if code in _AGENT_SILENT or code in _AGENT_REFUSED:
                raise AgentError(str(error), silent=code in _AGENT_SILENT or _AGENT_GONE in str(error)) from error
            if code == libvirt.VIR_ERR_OPERATION_INVALID:  # it does not run
                raise AgentError(str(error), silent=True) from error
            raise _failed(name, error) from error

    async def _on(self, name: str, work: Callable[[libvirt.virDomain], T], *, seconds: float = 30.0) -> T:
        try:
            return await self._raw(name, work, seconds)
        except libvirt.libvirtError as error:
            raise _failed(name, error) from error

    async def _raw(self, name: str, work: Callable[[libvirt.virDomain], T], seconds: float) -> T:
        return await self._client.call(lambda connection: work(connection.lookupByName(name)), seconds=seconds)


class _NoSuchMachineError(Fault):
    """The machine is gone; `condition`, `label` and `remove` answer that, the rest let it pass."""


# A system error is the agent's channel breaking off: QEMU has just ended.
# An answer too large for libvirt's own protocol (4 MiB) is an RPC error.
# VIR_ERR_AGENT_COMMAND_TIMEOUT (112) and …_FAILED (113) came with libvirt 9.1; before, a refusal was an internal error.
_AGENT_SILENT = frozenset(
    {libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED, libvirt.VIR_ERR_SYSTEM_ERROR, 112}
)
# An internal error as the agent's own refusals are, but nobody answered: QEMU ended while it was asked.
_AGENT_GONE = "End of file from agent socket"
_AGENT_REFUSED = frozenset({libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_RPC, 113})


def condition_of(state: int, reason: int) -> Condition:
    """Read libvirt's word on a machine (virDomainState and its reasons).

    It is off by its own doing only if libvirt saw it shut down. A libvirt that was started again after its
    machines had ended knows no reason at all.
    """
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return Condition.PANICKED
    if state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        return Condition.DISK_FULL
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        return Condition.OFF if reason == libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN else Condition.KILLED
    return Condition.RUNNING


def _unless(code: int, work: Callable[[], object]) -> None:
    try:
        work()
    except libvirt.libvirtError as error:
        if error.get_error_code() != code:
            raise


def _failed(name: str, error: libvirt.libvirtError) -> Fault:
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        again = "Retry: the machine is booted anew."
        gone = Fault.because("machine.lost", f"the machine {name} is gone from this host", next=again)
        return _NoSuchMachineError(*gone.problems)
    return Fault.because(
        "hypervisor.failed", f"libvirt refused: {error}", next="Look at the host's libvirt log, then retry."
    )
