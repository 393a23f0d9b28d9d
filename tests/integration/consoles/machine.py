"""A real machine for tests of consoles: QEMU with a boot sector that says on screen and serial port what it hears.

It says `READY` at each start, then each key of its keyboard and each byte of its serial port, and starts
again at Ctrl-Alt-Del, as SeaBIOS has it. It is up in less than a second under emulation.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

_CODE = bytes.fromhex(
    "31c0 8ed8 be477c"  # ds = 0, si = the banner
    "ac 84c0 7405 e82200 ebf6"  # say each of its characters up to the zero
    "fb f4 b401 cd16 7407"  # wait for an interrupt; is there a key (INT 16h, function 1)?
    "b400 cd16 e81100"  # take it (function 0) and say it
    "bafd03 ec a801 74e9"  # has the serial port a byte? else wait again
    "baf803 ec e80200 ebef"  # take it and say it, and look for more
    "50 b40e bb0700 cd10"  # to say: on the screen (INT 10h, function 0Eh) …
    "bafd03 ec a820 74f8 58 baf803 ee c3"  # … and, when the port is ready, on the serial port
)
BANNER = b"READY "
_PATIENCE_SECONDS = 60.0


async def until(true: Callable[[], bool]) -> None:
    """Return when it is so; `TimeoutError` if that never happens."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            if true():
                return
            await asyncio.sleep(0.02)


class TalkingMachine:
    """A running machine: its process, its VNC socket and its serial socket."""

    def __init__(self, folder: Path) -> None:
        self.screen = folder / "v"
        self.port = folder / "s"
        self._image = folder / "boot.img"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Power on; its CPU waits for the serial port's reader."""
        sector = (_CODE + BANNER + b"\0").ljust(510, b"\0") + b"\x55\xaa"
        self._image.write_bytes(sector.ljust(1 << 20, b"\0"))
        self.process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("qemu-system-x86_64", "-accel", "tcg", "-m", "16", "-nodefaults", "-vga", "std", "-display", "none"),
            *("-drive", f"file={self._image},format=raw,if=ide"),
            *("-chardev", f"socket,id=port,path={self.port},server=on,wait=on", "-serial", "chardev:port"),
            *("-vnc", f"unix:{self.screen}"),
        )
        await until(self.port.is_socket)

    async def kill(self) -> None:
        """End it as a lost machine ends."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def talking_machine(folder: Path) -> AsyncGenerator[TalkingMachine]:
    """Run one; `folder` must have a short path."""
    machine = TalkingMachine(folder)
    await machine.start()
    try:
        yield machine
    finally:
        await machine.kill()
