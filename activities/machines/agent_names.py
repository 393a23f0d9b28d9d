"""Tells a guest its neighbours' names with what its agent does by itself, so that no program is started in it.

A guest that is only just up is still busy with the rest of its boot; when it is emulated, a program takes seconds to
start then, and an answer of the agent some hundredths of one. Whatever does not go this way is done by the program
(`join_networks.sh`), which can do more; `introduce` says why, and has changed nothing that this does not put right.

The agent's commands: https://qemu.readthedocs.io/en/latest/interop/qemu-ga-ref.html
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Literal

from activities.machines.guest import LibvirtGuest
from activities.machines.hypervisor import AgentError

BEGIN = "# BEGIN machines on private networks"
END = "# END machines on private networks"
_HOSTS = "/etc/hosts"
_MOST_BYTES = 64 << 10
LEASE_SECONDS = 5.0
_POLL_SECONDS = 0.3


Outcome = Literal["done", "no address", "cannot"]


async def introduce(guest: LibvirtGuest, addresses: Mapping[str, str], lines: str) -> Outcome:
    """Wait until cards (by MAC address) have the addresses given, and put `lines` into /etc/hosts.

    Raises what `LibvirtGuest` does where the guest, or the hypervisor, is gone.
    """
    try:
        if not await _have(guest, addresses):
            return "no address"
        return "done" if await _write(guest, lines) else "cannot"
    except (AgentError, ValueError, KeyError, TypeError, AttributeError):
        return "cannot"  # an agent without these commands, or told not to obey them, or one that answers otherwise


async def _have(guest: LibvirtGuest, addresses: Mapping[str, str]) -> bool:
    """Wait some seconds for the guest's DHCP client."""
    deadline = time.monotonic() + LEASE_SECONDS
    while True:
        cards = await guest.cards()
        if all(address in cards.get(mac.lower(), ()) for mac, address in addresses.items()):
            return True
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)


async def _write(guest: LibvirtGuest, lines: str) -> bool:
    """Write the block, in place and by one write: nobody in the guest sees a file without its other names."""
    async with guest.file(_HOSTS) as file:
        old = await file.read(_MOST_BYTES)
        if old is None:
            return False
        new = with_block(old.decode(errors="surrogateescape"), lines).encode(errors="surrogateescape")
        if new != old:
            # A file cannot be cut off by the agent: what is left of a longer one becomes empty lines.
            await file.overwrite(new + b"\n" * (len(old) - len(new)))
    return True


def with_block(text: str, lines: str) -> str:
    """Put `lines` behind all others, as a block that replaces the one of an earlier time."""
    kept: list[str] = []
    inside = False
    for line in text.split("\n"):
        if line in (BEGIN, END):
            inside = line == BEGIN
        elif not inside:
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return "".join(f"{line}\n" for line in (*kept, BEGIN, *lines.splitlines(), END))
