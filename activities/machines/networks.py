"""The networks of this host's VMs (docs/adr/0007-guest-networks.md).

Every VM has an uplink of its own, on which it gets an address by DHCP and reaches out or does not; and a card
on each of its private networks. All of them are bridges in libvirt's namespace, made by its switchboard.

Names on private networks reach a machine in two ways, because neither reaches all:

- By DNS, from the nameserver of its uplink, which knows its networks and no others. That needs nothing of the
  guest but DHCP, so it holds for any image. But systemd-resolved, which our own images have, asks no nameserver
  for a name without a dot, and ignores the search domain of a lease.
- By a marked block in its /etc/hosts, written by `introduce`: by the guest agent itself (`agent_names`), else by a
  program that the agent or SSH runs. That holds for every libc and resolver; and the program gives a card its
  address where no DHCP client looks after it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from activities.machines import agent_names
from activities.machines.guest import LibvirtGuest
from activities.machines.ports import Guest
from domain.errors import Verdict
from domain.vm.spec import Network
from infra.libvirt_paths import LibvirtPaths
from infra.netns import client
from infra.netns.models import Cabling, KnownName, Link, Names, Plug, Seat, Sweep, Unplug
from infra.netns.relay import Stream

_SCRIPT = Path(__file__).with_name("join_networks.sh")
_JOIN_SECONDS = 60.0
_SHOWN = 500


class GuestNetworks:
    """Links of the machines of one home, named as libvirt's domains are. All methods are harmless to repeat."""

    def __init__(self, paths: LibvirtPaths) -> None:
        self._socket = client.socket_path(paths.root / "run")
        self._told: dict[str, tuple[KnownName, ...]] = {}
        self._introducing: dict[str, asyncio.Lock] = {}

    async def plug(self, machine: str, org_id: str, networks: Iterable[Network], *, egress: bool) -> Cabling:
        """Make a machine's links, before each of its starts; addresses stay the same until it is forgotten.

        Machines of one organization share a network if its scope and name are the same.

        Raises:
            Verdict: `network.name_taken`.
            Fault: `network.full`, `network.unavailable` or `command.…`.

        """
        seats = tuple(
            Seat(key=f"{org_id}/{network.scope}/{network.name}", name=network.name, hostname=network.hostname)
            for network in networks
        )
        reply = await client.ask(self._socket, Plug(machine=machine, egress=egress, seats=seats))
        return _cabling(reply.cabling)

    async def unplug(self, machine: str, *, forget: bool) -> int:
        """Remove a machine's links when it is off, and with `forget` its addresses too; answers 1 if there were any.

        Raises:
            Fault: `network.unavailable` or `command.…`.

        """
        self._told.pop(machine, None)
        self._introducing.pop(machine, None)
        return (await client.ask(self._socket, Unplug(machine=machine, forget=forget))).removed

    async def sweep(self, keep: Iterable[str]) -> int:
        """Forget all machines but those named; answers how many.

        Raises:
            Fault: `network.unavailable` or `command.…`.

        """
        return (await client.ask(self._socket, Sweep(keep=tuple(keep)))).removed

    async def introduce(self, machine: str, guest: Guest, *, if_news: bool = False) -> tuple[KnownName, ...]:
        """Give a running guest its addresses and tell it who is on its networks; answers who.

        Again after other machines have joined: those that come later are not known yet. With `if_news` a guest
        that was told the same before is left in peace. One that has just started, or was brought back, is told
        without it.

        Raises:
            Verdict: `guest.network` when the guest cannot be given its addresses, and what `Guest.run` raises.
            Fault: `network.unavailable`, `network.unknown_machine`, and what `Guest.run` raises.

        """
        async with self._introducing.setdefault(machine, asyncio.Lock()):  # it and a new neighbour may tell it at once
            reply = await client.ask(self._socket, Names(machine=machine))
            cards = _cabling(reply.cabling).networks
            if cards and not (if_news and self._told.get(machine) == reply.names):
                lines = "".join(f"{name.address}\t{' '.join(name.names)}\n" for name in reply.names)
                await self._tell(machine, guest, cards, lines)
                self._told[machine] = reply.names
            return reply.names

    async def _tell(self, machine: str, guest: Guest, cards: Sequence[Link], lines: str) -> None:
        """Tell by the agent alone, else by a program, which waits for addresses only if nobody has yet."""
        patience = agent_names.LEASE_SECONDS
        if isinstance(guest, LibvirtGuest):
            outcome = await agent_names.introduce(guest, {card.mac: card.address for card in cards}, lines)
            if outcome == "done":
                return
            patience = 0.0 if outcome == "no address" else patience
        arguments = [word for card in cards for word in (card.mac, f"{card.address}/{card.prefix}")]
        argv = ("/bin/sh", "-c", _script(), "join-networks", str(int(patience)), *arguments)
        done = await guest.run(argv, timeout=_JOIN_SECONDS, stdin=lines.encode())
        if done.status != 0:
            raise Verdict.because(
                "guest.network",
                f"{machine} could not be put on its networks: {done.stderr[:_SHOWN].decode(errors='replace')}",
                next="See that the image has ip(8) and a virtio network driver, and can write /etc/hosts.",
            )

    async def open_guest_port(self, machine: str, port: int) -> Stream:
        """Open a stream to a TCP port of a running guest, by its uplink; the caller closes it.

        Raises:
            Verdict: `guest.port_closed`.
            Fault: `network.unavailable` or `network.unknown_machine`.

        """
        return await client.connect(self._socket, machine, port)


@cache
def _script() -> str:
    return _SCRIPT.read_text(encoding="utf-8")


def _cabling(answered: Cabling | None) -> Cabling:
    if answered is None:  # a switchboard of another version
        raise Verdict.because("network.bad_answer", "the switchboard told no links", next="Restart the stack.")
    return answered
