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
from activities.machines.vm_models import CommandDone, RunCommand, Screenshot, TakeScreenshot
from activities.machines.vm_ports import Via
from activities.machines.vm_power import read_power
from activities.machines.vm_premises import Premises
from activities.vm_ref import VmRef
from domain.errors import Verdict
from infra.ports import ObjectStore

OUTPUT_BYTES = 64 << 10
_PNG_SIZE = struct.Struct(">II")
_PNG_SIZE_AT = 16  # RFC 2083, 3.2 and 4.1.1: signature, length and name of the first chunk come before
_SCREENFUL = 1 << 16


class VmGuests:
    """Commands and screenshots."""

    def __init__(self, premises: Premises, objects: ObjectStore) -> None:
        self._premises = premises
        self._hypervisor = premises.hypervisor
        self._objects = objects

    async def reach(self, vm: VmRef) -> tuple[Guest, Via]:
        """Reach the guest: by its agent if that listens, else by SSH.

        Raises:
            Verdict: `vm.wrong_state` if it does not run, `guest.unreachable` if it answers neither way.

        """
        folder, record = self._premises.admit(vm)
        await self._require_running(folder, record)
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
        guest, via = await self.reach(request.vm)
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
        """Store the screen at `screens/<vm_id>/<time>.png`. A guest that panicked has a screen, too."""
        folder, record = self._premises.admit(request.vm)
        await self._require_running(folder, record, also=("panicked", "paused"))
        image = await asyncio.to_thread(to_png, await self._hypervisor.screenshot(folder.name))
        width, height = _PNG_SIZE.unpack_from(image, _PNG_SIZE_AT)
        taken = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        key = f"screens/{request.vm.vm_id}/{taken}Z.png"
        await self._objects.put(key, image, "image/png")
        text = await self._console_text(folder)
        serial_key = await self._keep_serial(folder, key) if request.serial else None
        return Screenshot(key=key, bytes=len(image), width=width, height=height, text=text, serial_key=serial_key)

    async def _require_running(self, folder: VmFolder, record: VmRecord, *, also: tuple[str, ...] = ()) -> None:
        seen = read_power(await self._hypervisor.vm(folder.name), record)
        if seen.power not in ("running", *also):
            raise Verdict.because(
                "vm.wrong_state",
                seen.reason or f"the VM is {seen.power}",
                value=seen.power,
                next="Start the VM.",
            )

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


def _text(data: bytes) -> str:
    return data[:OUTPUT_BYTES].decode(errors="replace")
