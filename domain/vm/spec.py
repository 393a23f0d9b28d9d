"""What a virtual machine is asked to be. Memory and disk in MiB, times in seconds."""

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value
from domain.recipe.ssh_access import SshAccess
from domain.verification import Firmware
from domain.vm.names import HostName, NetworkName, Port


class ImageRef(Value):
    """A bootable image in the object store, by digest (SHA-256), and where it came from.

    `source_id` is a build or an uploaded image. An image of a recipe without the guest agent is entered
    over SSH as `ssh` says (`domain.recipe.ssh_access.ssh_access_of`), where that is possible.
    """

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=1)]
    format: Literal["qcow2", "iso"]
    source: Literal["build", "image"]
    source_id: str
    name: str = ""
    ssh: SshAccess | None = None


class Network(Value):
    """A private network that machines of one organization share; `name` and the other machines resolve on it.

    `scope` tells equal names of two runs apart. `hostname` is this machine's name there.
    """

    name: NetworkName
    scope: str
    hostname: HostName


class PortForward(Value):
    """A port of the guest that is reachable on its host's loopback; without `host_port` the host chooses one."""

    guest_port: Port
    host_port: Port | None = None


class VmSpec(Value):
    """One machine. Without `ttl` it stays until deleted; `egress` lets the guest reach out, never the host itself.

    `disk` grows the machine's own copy-on-write disk; an ISO gets an empty disk only if it is given.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    image: ImageRef
    memory: Annotated[int, Field(ge=128, le=1 << 20)] = 1024
    cpus: Annotated[int, Field(ge=1, le=256)] = 1
    disk: Annotated[int, Field(ge=16, le=16 << 20)] | None = None
    firmware: Firmware = "uefi"
    ttl: Annotated[int, Field(ge=60)] | None = 4 * 3600
    idle_stop: Annotated[int, Field(ge=60)] | None = None
    egress: bool = True
    networks: tuple[Network, ...] = ()
    forwards: tuple[PortForward, ...] = ()
