"""A QEMU started by hand, as the reference: image, firmware, sizes and devices are those of a VM of the factory."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

_OVMF = Path("/usr/share/OVMF")
_PING = b'{"execute":"guest-sync-delimited","arguments":{"id":7}}\n'
_BOOT_SECONDS = 900.0


@asynccontextmanager
async def booted(image: Path, *, memory: int, cpus: int, cards: int = 1) -> AsyncGenerator[float]:
    """Boot an overlay of `image` under UEFI and answer the seconds from start to the agent's first answer.

    `cards` are network cards: a machine of a suite has one more, on its private network.
    """
    with tempfile.TemporaryDirectory(prefix="of-bare-") as name:
        folder = Path(name)
        started = time.monotonic()
        process = await _start(folder, image, memory=memory, cpus=cpus, cards=cards)
        try:
            async with asyncio.timeout(_BOOT_SECONDS):
                await _answers(folder / "agent")
            yield time.monotonic() - started
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
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(b"\xff" + _PING)
                async with asyncio.timeout(1.0):
                    while True:
                        line = (await reader.readline()).lstrip(b"\xff")
                        if not line:
                            break
                        if json.loads(line).get("return") == 7:
                            return
            finally:
                writer.close()
        await asyncio.sleep(0.1)
