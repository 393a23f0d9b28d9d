"""What is asked of a running VM's guest and of its screen. All that is answered here is untrusted."""

import asyncio
import struct
import time
from datetime import UTC, datetime

from activities.machines.console import Console
from activities.machines.evidence import to_png
from activities.machines.guest import LibvirtGuest
from activities.machines.ports import Guest
from activities.machines.serial_port import SerialLog
from activities.machines.vm_folder import VmFolder, VmRecord
from activities.machines.vm_models import CommandDone, RunCommand, Screenshot, TakeScreenshot, VmSeen
from activities.machines.vm_ports import Via
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.vm_ref import VmRef
from domain.errors import Fault, Verdict
from infra.ports import ObjectStore

OUTPUT_BYTES = 64 << 10
_PNG_SIZE = struct.Struct(">II")
_PNG_SIZE_AT = 16  # RFC 2083, 3.2 and 4.1.1: signature, length and name of the first chunk come before
_SCREENFUL = 1 << 16
_PANIC = "Kernel panic"
_WITH_SCREEN = ("running", "panicked", "paused")


class VmGuests:
    """Commands and screenshots."""

    def __init__(self, premises: Premises, objects: ObjectStore) -> None:
        self._premises = premises
        self._hypervisor = premises.hypervisor
        self._objects = objects

    async def reach(self, vm: VmRef) -> tuple[Guest, Via]:
        """Reach the guest: by its agent if that listens, else by SSH.

        Raises:
            Verdict: `guest.panicked` or `guest.off` if it ended by itself, `vm.wrong_state` if somebody stopped it,
                `guest.unreachable` if it answers neither way.
            Fault: `machine.lost` or `host.disk`: the host did that.

        """
        folder, record = self._premises.admit(vm)
        seen = read_power(await self._hypervisor.vm(folder.name), record)
        if seen.power != "running":
            raise await self._ended(folder, record, seen)
        return await self._way_in(folder, record)

    async def _way_in(self, folder: VmFolder, record: VmRecord) -> tuple[Guest, Via]:
        if await self._hypervisor.agent_listens(folder.name):
            return LibvirtGuest(self._hypervisor, folder.name), "agent"
        ssh = self._premises.ssh
        guest = await ssh.reach(folder.name, folder.path, record.spec) if ssh is not None else None
        if guest is None:
            raise Verdict.because(
                "guest.unreachable",
                "the guest runs neither its agent nor an SSH server that lets the factory in",
                next="Wait until the VM is ready, or use its console.",
            )
        return guest, "ssh"

    async def run(self, request: RunCommand) -> CommandDone:
        """Run a program once, its output capped."""
        folder, record = self._premises.admit(request.vm)
        seen = read_power(await self._hypervisor.vm(folder.name), record)
        if seen.power != "running":
            raise _wrong_state(seen)
        guest, via = await self._way_in(folder, record)
        began = time.monotonic()
        done = await guest.run(request.argv, timeout=request.limit, stdin=request.stdin.encode())
        return CommandDone(
            status=done.status,
            stdout=_text(done.stdout),
            stderr=_text(done.stderr),
            truncated=max(len(done.stdout), len(done.stderr)) > OUTPUT_BYTES,
            via=via,
            seconds=round(time.monotonic() - began, 3),
        )

    async def photograph(self, request: TakeScreenshot) -> Screenshot:
        """Store the screen at `screens/<vm_id>/<time>.png`. A guest that panicked has a screen, too.

        What the serial port said is a file, which outlives the guest: if it is asked for, one that does not run has it
        stored without a picture, and `key` is empty.
        """
        folder, record = self._premises.admit(request.vm)
        seen = read_power(await self._hypervisor.vm(folder.name), record)
        has_screen = seen.power in _WITH_SCREEN
        if not has_screen and not request.serial:
            raise _wrong_state(seen)
        taken = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        key = f"screens/{request.vm.vm_id}/{taken}Z.png"
        serial_key = await self._keep_serial(folder, key) if request.serial else None
        if not has_screen:
            text = await self._console_text(folder)
            return Screenshot(key="", bytes=0, width=0, height=0, text=text, serial_key=serial_key)
        image = await asyncio.to_thread(to_png, await self._hypervisor.screenshot(folder.name))
        width, height = _PNG_SIZE.unpack_from(image, _PNG_SIZE_AT)
        await self._objects.put(key, image, "image/png")
        text = await self._console_text(folder)
        return Screenshot(key=key, bytes=len(image), width=width, height=height, text=text, serial_key=serial_key)

    async def _ended(self, folder: VmFolder, record: VmRecord, seen: VmSeen) -> Verdict | Fault:
        """Say why nothing can be asked of a VM that does not run, and whose doing that is."""
        what = seen.reason or f"the VM is {seen.power}"
        match seen.power:
            case "panicked":
                return Verdict.because("guest.panicked", what, next="Look at the console for the panic.")
            case "stopped" if record.wanted == "running":
                return Verdict.because("guest.off", what, next="Look at the console for what shut the system down.")
            case "stopped" if _PANIC in await self._console_text(folder):  # a panicked one is powered off
                what = "the guest's kernel panicked; the VM is off"
                return Verdict.because("guest.panicked", what, next="Look at the console for the panic.")
            case "stopped":
                what = "the VM was stopped on request"
                return Verdict.because("vm.wrong_state", what, value=seen.power, next="Start the VM.")
            case "paused":
                return Fault.because("host.disk", what, next="Free disk space on the host, then start the VM again.")
            case _:
                return Fault.because("machine.lost", f"{folder.name} was lost: {what}", next="Start the VM again.")

    async def _keep_serial(self, folder: VmFolder, beside: str) -> str:
        """Store what the serial port said, next to a picture."""
        key = beside.removesuffix(".png") + ".serial.log"
        await self._objects.put(key, await asyncio.to_thread(SerialLog(folder.path).read), "text/plain; charset=utf-8")
        return key

    async def _console_text(self, folder: VmFolder) -> str:
        """The last screenful of the serial console, also if another worker read it."""
        port = self._premises.serial.find(folder.name)
        if port is not None:
            await port.caught_up()
        if port is not None and port.console.screen:
            return port.console.screen
        console = Console()
        console.feed((await asyncio.to_thread(SerialLog(folder.path).read))[-_SCREENFUL:])
        return console.screen


def _wrong_state(seen: VmSeen) -> Verdict:
    what = seen.reason or f"the VM is {seen.power}"
    return Verdict.because("vm.wrong_state", what, value=seen.power, next="Start the VM.")


def _text(data: bytes) -> str:
    return data[:OUTPUT_BYTES].decode(errors="replace")
