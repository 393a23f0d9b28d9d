"""A QEMU started by hand, as the reference: image, firmware, sizes and devices are those of a VM of the factory."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OVMF = Path("/usr/share/OVMF")
_BOOT_SECONDS = 900.0
_PAUSE_SECONDS = 0.1
GATEWAY = "10.0.2.2"
"""What a guest reaches by its first card."""


@dataclass(frozen=True)
class BareGuest:
    """A guest that is up: the seconds from its QEMU's start to its agent's first answer, and that agent's socket."""

    seconds: float
    agent: Path

    async def run(self, *argv: str) -> None:
        """Run a program and wait for its end.

        Raises:
            RuntimeError: its status is not 0.

        """
        async with _asking(self.agent) as ask:
            pid = (await ask("guest-exec", {"path": argv[0], "arg": argv[1:], "capture-output": True}))["pid"]
            done = await ask("guest-exec-status", {"pid": pid})
            while not done["exited"]:
                await asyncio.sleep(_PAUSE_SECONDS)
                done = await ask("guest-exec-status", {"pid": pid})
        if done.get("exitcode") != 0:
            raise RuntimeError(json.dumps(done))


@asynccontextmanager
async def booted(image: Path, *, memory: int, cpus: int, cards: int = 1) -> AsyncGenerator[BareGuest]:
    """Boot an overlay of `image` under UEFI until its agent answers.

    `cards` are network cards: a machine of a suite has one more, on its private network.
    """
    with tempfile.TemporaryDirectory(prefix="of-bare-") as name:
        folder = Path(name)
        started = time.monotonic()
        process = await _start(folder, image, memory=memory, cpus=cpus, cards=cards)
        try:
            async with asyncio.timeout(_BOOT_SECONDS):
                await _answers(folder / "agent")
            yield BareGuest(time.monotonic() - started, folder / "agent")
        finally:
            process.kill()
            await process.wait()


async def _start(folder: Path, image: Path, *, memory: int, cpus: int, cards: int) -> asyncio.subprocess.Process:
    disk, variables = folder / "disk.qcow2", folder / "vars.fd"
    made = await asyncio.create_subprocess_exec(
        *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(disk))
    )
    await made.wait()
    shutil.copyfile(_OVMF / "OVMF_VARS_4M.fd", variables)
    return await asyncio.create_subprocess_exec(
        *("qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max"),
        *("-m", str(memory), "-smp", str(cpus), "-nodefaults", "-no-user-config"),
        *("-drive", f"if=pflash,format=raw,readonly=on,file={_OVMF / 'OVMF_CODE_4M.fd'}"),
        *("-drive", f"if=pflash,format=raw,file={variables}"),
        *("-drive", f"if=none,id=disk,file={disk},format=qcow2,cache=writeback,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
        *(word for number in range(cards) for word in _card(number)),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        *("-chardev", f"file,id=serial,path={folder / 'serial'}", "-serial", "chardev:serial"),
        *("-device", "qemu-xhci,id=usb", "-device", "usb-tablet,bus=usb.0", "-device", "pvpanic"),
        *("-vga", "std", "-vnc", f"unix:{folder / 'vnc'}", "-device", "virtio-rng-pci"),
        stdout=asyncio.subprocess.DEVNULL,
    )


def _card(number: int) -> tuple[str, ...]:
    net = f"user,id=net{number},net=10.0.{2 + number}.0/24"
    return ("-netdev", net, "-device", f"virtio-net-pci,netdev=net{number},romfile=")


async def _answers(socket: Path) -> None:
    """Ask the agent until it answers."""
    while True:
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(1.0), _asking(socket):
                return
        await asyncio.sleep(_PAUSE_SECONDS)


@asynccontextmanager
async def _asking(socket: Path) -> AsyncGenerator[Callable[[str, dict[str, object]], Awaitable[Any]]]:
    """Talk to the agent, whose earlier answers to others are skipped."""
    reader, writer = await asyncio.open_unix_connection(str(socket))

    async def ask(command: str, arguments: dict[str, object]) -> Any:
        writer.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        return json.loads((await reader.readline()).lstrip(b"\xff")).get("return")

    try:
        mark = time.monotonic_ns()
        writer.write(b"\xff")
        answer = await ask("guest-sync-delimited", {"id": mark})
        while answer != mark:
            answer = json.loads((await reader.readline()).lstrip(b"\xff")).get("return")
        yield ask
    finally:
        writer.close()
