"""Who has which link and address on this host. Pure: a plan and a request in, a plan out.

Each machine has an uplink of its own, a /30 with the namespace as its gateway. Each private network is a /24.
Addresses stay a machine's own until it is forgotten, because a memory snapshot remembers them.

The pools are private addresses (RFC 1918) that neither Docker, nor Kubernetes, nor libvirt take by default.
"""

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from pydantic import Field

from domain.errors import Fault, Verdict
from domain.model import Value
from infra.netns.models import Cabling, KnownName, Link, MachineName, Plug, Seat

UPLINKS = IPv4Network("10.210.0.0/16")
NETWORKS = IPv4Network("10.212.0.0/14")
# What slirp4netns(1) calls its CIDR: the namespace is .100, the way out .2, the nameserver .3.
SLIRP = IPv4Network("10.210.0.0/24")
GATEWAY, NAMESERVER, NAMESPACE = SLIRP[2], SLIRP[3], SLIRP[100]
EGRESS_PREFIX, CLOSED_PREFIX, NETWORK_PREFIX = "ofe", "ofn", "ofp"
FIRST_UPLINK = SLIRP.num_addresses // 4
LAST_UPLINK = UPLINKS.num_addresses // 4 - 1
LAST_NETWORK = NETWORKS.num_addresses // 256 - 1
_FIRST_SEAT, _LAST_SEAT = 10, 253


class Seated(Value):
    """A seat and the last byte of its address."""

    seat: Seat
    number: int


class Wired(Value):
    """One machine of the plan; `uplink` numbers its /30."""

    machine: MachineName
    egress: bool
    uplink: int
    seats: tuple[Seated, ...] = ()

    @property
    def bridge(self) -> str:
        """The uplink's bridge. Its name is what the firewall goes by."""
        return f"{EGRESS_PREFIX if self.egress else CLOSED_PREFIX}{self.uplink}"

    @property
    def subnet(self) -> IPv4Network:
        """The uplink's network: gateway .1, machine .2."""
        return IPv4Network((int(UPLINKS[4 * self.uplink]), 30))


class Plan(Value):
    """All machines by name, and the number of each private network by its key.

    `newest` is the uplink given last. The next one is a later one: what still comes back for a machine that is
    gone, by a connection that the kernel remembers, must not reach another.
    """

    machines: dict[str, Wired] = Field(default_factory=dict[str, Wired])
    networks: dict[str, int] = Field(default_factory=dict[str, int])
    newest: int = FIRST_UPLINK - 1

    def plug(self, request: Plug) -> "Plan":
        """Place a machine; one that is there keeps what it has.

        Raises:
            Verdict: `network.name_taken` when another machine of a network has the same name there.
            Fault: `network.full`.

        """
        known = self.machines.get(request.machine)
        if known is not None and known.egress == request.egress and tuple(s.seat for s in known.seats) == request.seats:
            return self
        others = {name: wired for name, wired in self.machines.items() if name != request.machine}
        networks = dict(self.networks)
        seats: list[Seated] = []
        for seat in request.seats:
            taken = [s for wired in others.values() for s in wired.seats if s.seat.key == seat.key]
            if any(s.seat.hostname == seat.hostname for s in taken) or seat.key in (s.seat.key for s in seats):
                raise Verdict.because(
                    "network.name_taken",
                    f"another machine on the network {seat.name} is called {seat.hostname}",
                    value=seat.hostname,
                    next="Give each machine of a network a name of its own.",
                )
            networks.setdefault(seat.key, _free(networks.values(), 0, LAST_NETWORK))
            own = next((s.number for s in known.seats if s.seat.key == seat.key), None) if known else None
            seats.append(Seated(seat=seat, number=own or _free((s.number for s in taken), _FIRST_SEAT, _LAST_SEAT)))
        uplink = known.uplink if known else self._next_uplink()
        wired = Wired(machine=request.machine, egress=request.egress, uplink=uplink, seats=tuple(seats))
        return _plan({**others, request.machine: wired}, networks, self.newest if known else uplink)

    def forget(self, machine: str) -> "Plan":
        """Give a machine's addresses back, and networks that nobody is on any more."""
        others = {name: wired for name, wired in self.machines.items() if name != machine}
        return _plan(others, self.networks, self.newest)

    def cabling(self, machine: str) -> Cabling:
        """Tell the cards of a machine of the plan."""
        wired = self.machines[machine]
        uplink = Link(bridge=wired.bridge, mac=mac(machine, ""), address=str(wired.subnet[2]), prefix=30)
        return Cabling(uplink=uplink, networks=tuple(self._card(wired, seated) for seated in wired.seats))

    def names(self, machine: str) -> tuple[KnownName, ...]:
        """Tell who is on the machine's networks, itself included: `primary`, and `primary.<network>`."""
        wired = self.machines[machine]
        return tuple(
            KnownName(
                address=str(self.address(other)), names=(other.seat.hostname, f"{other.seat.hostname}.{own.seat.name}")
            )
            for own in wired.seats
            for other in self._on(own.seat.key)
        )

    def members(self, key: str) -> tuple[Link, ...]:
        """Tell the cards on a network."""
        return tuple(
            self._card(wired, seated)
            for wired in self.machines.values()
            for seated in wired.seats
            if seated.seat.key == key
        )

    def subnet(self, key: str) -> IPv4Network:
        """The addresses of a network; .1 is the namespace's."""
        return IPv4Network((int(NETWORKS[256 * self.networks[key]]), 24))

    def network_bridge(self, key: str) -> str:
        """The bridge of a network."""
        return f"{NETWORK_PREFIX}{self.networks[key]}"

    def address(self, seated: Seated) -> IPv4Address:
        """The address of a seat."""
        return self.subnet(seated.seat.key)[seated.number]

    def _next_uplink(self) -> int:
        taken = {wired.uplink for wired in self.machines.values()}
        later = next((n for n in range(self.newest + 1, LAST_UPLINK + 1) if n not in taken), None)
        return _free(taken, FIRST_UPLINK, LAST_UPLINK) if later is None else later

    def _card(self, wired: Wired, seated: Seated) -> Link:
        key = seated.seat.key
        address = str(self.address(seated))
        return Link(bridge=self.network_bridge(key), mac=mac(wired.machine, key), address=address, prefix=24)

    def _on(self, key: str) -> tuple[Seated, ...]:
        return tuple(s for wired in self.machines.values() for s in wired.seats if s.seat.key == key)


def mac(machine: str, key: str) -> str:
    """Give a card its address: always the same one, with QEMU's own prefix."""
    digest = hashlib.sha256(f"{machine}\0{key}".encode()).hexdigest()
    return f"52:54:00:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"


def _plan(machines: dict[str, Wired], networks: dict[str, int], newest: int) -> Plan:
    """Make a plan of the networks that somebody is on."""
    used = {s.seat.key for wired in machines.values() for s in wired.seats}
    kept = {key: number for key, number in networks.items() if key in used}
    return Plan(machines=machines, networks=kept, newest=newest)


def _free(taken: Iterable[int], first: int, last: int) -> int:
    used = set(taken)
    number = next((n for n in range(first, last + 1) if n not in used), None)
    if number is None:
        raise Fault.because(
            "network.full", "this host has no free address for another machine", next="Delete machines, then retry."
        )
    return number
