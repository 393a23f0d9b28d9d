"""What is asked of a home's switchboard and what it answers. One JSON line each, over a UNIX socket."""

from typing import Annotated, Literal

from pydantic import Field

from domain.errors import Problem
from domain.model import Value
from domain.vm.names import HostName, NetworkName, Port

MachineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
SOCKET_NAME = "net.sock"
STATE_NAME = "networks.json"


class Seat(Value):
    """A machine's place on a private network. Who gives the same `key` shares it; `name` is its name for people."""

    key: Annotated[str, Field(min_length=1, max_length=300)]
    name: NetworkName
    hostname: HostName


class Plug(Value):
    """Connect a machine: an uplink of its own, which leads outside if `egress` says so, and seats on networks."""

    do: Literal["plug"] = "plug"
    machine: MachineName
    egress: bool
    seats: tuple[Seat, ...] = ()


class Unplug(Value):
    """Take a machine's links away. Its addresses stay reserved for it unless they are to be forgotten."""

    do: Literal["unplug"] = "unplug"
    machine: MachineName
    forget: bool


class Sweep(Value):
    """Forget every machine that is not named."""

    do: Literal["sweep"] = "sweep"
    keep: tuple[MachineName, ...]


class Names(Value):
    """Ask for a machine's links and for the names on its networks."""

    do: Literal["names"] = "names"
    machine: MachineName


class Connect(Value):
    """Make this connection one to a TCP port of a machine; bytes go both ways after the answer."""

    do: Literal["connect"] = "connect"
    machine: MachineName
    port: Port


class Surroundings(Value):
    """Tell what lies around the host, as networks in CIDR notation: its own addresses, and the links it is on.

    Until this is told nothing leads outside. `allowed` are private networks that guests may reach nevertheless.
    """

    do: Literal["surroundings"] = "surroundings"
    own: tuple[str, ...]
    links: tuple[str, ...]
    allowed: tuple[str, ...] = ()


Request = Annotated[Plug | Unplug | Sweep | Names | Connect | Surroundings, Field(discriminator="do")]


class Link(Value):
    """One network card of a machine: the bridge it is on, and what the guest's DHCP client is told."""

    bridge: str
    mac: str
    address: str
    prefix: int


class Cabling(Value):
    """All of a machine's cards, in the order in which it should have them."""

    uplink: Link
    networks: tuple[Link, ...] = ()

    @property
    def cards(self) -> tuple[Link, ...]:
        """The uplink first."""
        return (self.uplink, *self.networks)


class KnownName(Value):
    """A machine on a network, by all its names there."""

    address: str
    names: tuple[str, ...]


class Reply(Value):
    """The answer: what went wrong, or what was asked for. `removed` counts machines."""

    problem: Problem | None = None
    cabling: Cabling | None = None
    names: tuple[KnownName, ...] = ()
    removed: int = 0
