"""What is kept of a machine that failed. Best effort, part by part: no part that fails hides another."""

import re
import struct
import zlib
from collections.abc import Awaitable, Callable

from activities.machines.console import clean
from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import Hypervisor
from activities.step_log import StepLog
from domain.errors import FactoryError, Verdict
from infra.ports import ObjectStore

_AGENT_SECONDS = 30.0
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXMAP = re.compile(rb"P6\s+(?P<width>\d+)\s+(?P<height>\d+)\s+255\s")
_JOURNAL = ("journalctl", "--no-pager", "--lines=200", "--output=short-iso", "--unit")


class Evidence:
    """Writes the evidence of one machine below `prefix` in the object store."""

    def __init__(self, objects: ObjectStore, hypervisor: Hypervisor, name: str, prefix: str) -> None:
        self._objects = objects
        self._hypervisor = hypervisor
        self._guest = LibvirtGuest(hypervisor, name)
        self._name = name
        self._prefix = prefix

    async def keep(self, serial: bytes, screen_text: str, log: StepLog) -> tuple[str, ...]:
        """Store what can be had and answer its keys; says in `log` what cannot."""
        parts: list[tuple[str, str, Callable[[], Awaitable[bytes]]]] = [
            ("screenshot.png", "image/png", self._screenshot),
            ("failed-units.txt", "text/plain; charset=utf-8", self._failed_units),
        ]
        keys = [
            await self._put("serial.log", "text/plain; charset=utf-8", serial),
            await self._put("console.txt", "text/plain; charset=utf-8", screen_text.encode()),
        ]
        for name, kind, make in parts:
            try:
                keys.append(await self._put(name, kind, await make()))
            except FactoryError as error:
                log.line(f"No {name} of {self._name}: {error.problems[0].message}")
        return tuple(keys)

    async def _put(self, name: str, content_type: str, data: bytes) -> str:
        key = self._prefix + name
        await self._objects.put(key, data, content_type)
        return key

    async def _screenshot(self) -> bytes:
        return to_png(await self._hypervisor.screenshot(self._name))

    async def _failed_units(self) -> bytes:
        """Names of the units that failed, and the end of the journal of each."""
        if not await self._hypervisor.agent_listens(self._name):
            raise Verdict.because("guest.agent_silent", "its guest agent does not answer")
        argv = ("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager")
        listed = await self._guest.run(argv, timeout=_AGENT_SECONDS)
        text = listed.stdout.decode(errors="replace")
        units = [line.split()[0] for line in text.splitlines() if line.strip()]
        parts = [text or listed.stderr.decode(errors="replace") or "No unit failed.\n"]
        for unit in units[:20]:
            journal = await self._guest.run((*_JOURNAL, unit), timeout=_AGENT_SECONDS)
            parts.append(f"\n== {unit}\n{journal.stdout.decode(errors='replace')}")
        return "\n".join(clean(line) for line in "".join(parts).split("\n")).encode()


def to_png(image: bytes) -> bytes:
    """Make a PNG (RFC 2083) of a binary portable pixmap (P6, 8 bits); a PNG is given back as it is.

    Newer hypervisors make a PNG themselves, so this is for the older ones and not worth a library.
    """
    found = _PIXMAP.match(image)
    if found is None:
        return image
    width, height = int(found["width"]), int(found["height"])
    pixels, row = image[found.end() :], width * 3
    rows = b"".join(b"\0" + pixels[y * row : (y + 1) * row] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 6)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
