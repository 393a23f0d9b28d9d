"""What a recipe or suite may claim about a running machine: one parameter model per kind of claim."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.model import Value

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,127}$")]
Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]{0,1023}$")]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=128)]
Address = Annotated[str, Field(pattern=r"^[0-9a-fA-F.:*]{1,45}$")]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")]
Line = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f]*$")]
Text = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
Pattern = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]


class UserExists(Value):
    """A user account, by name; the rest is compared when given."""

    username: Name
    groups: tuple[Name, ...] = ()
    shell: Path | None = None
    home: Path | None = None


class GroupExists(Value):
    """A group, by name; its number is compared when given."""

    name: Name
    gid: Annotated[int, Field(ge=0, le=4294967294)] | None = None


class PackageInstalled(Value):
    """A package is installed; `version` is compared as a prefix."""

    package: PackageName
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+~:-]{1,64}$")] | None = None


class PackageNotInstalled(Value):
    """No such package is installed."""

    package: PackageName


class ServiceClaim(Value):
    """A systemd unit; `.service` may be left out."""

    service: Name


class ProcessRunning(Value):
    """Processes of this name, of `user` if given; as many as `count`, or at least one."""

    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f/]{1,128}$")]
    user: Name | None = None
    count: Annotated[int, Field(ge=1, le=100000)] | None = None


class PortListening(Value):
    """Something listens on the port, on `address` if given, on any address otherwise."""

    port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["tcp", "udp"] = "tcp"
    address: Address | None = None


class FileExists(Value):
    """A file or folder; `mode` is octal, as text (`0644`)."""

    path: Path
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$")] | None = None
    owner: Name | None = None
    group: Name | None = None


class FileContains(Value):
    """A file holds the text `contains` and matches the regular expression `matches`, whichever is given."""

    path: Path
    contains: Annotated[Text, Field(min_length=1)] | None = None
    matches: Pattern | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.contains is None and self.matches is None:
            raise ValueError("give `contains`, `matches`, or both")
        return self


class CommandSucceeds(Value):
    """A command, run by /bin/sh as root or `user`, ends with status 0 within `timeout` seconds."""

    command: Annotated[str, Field(min_length=1, max_length=8192, pattern=r"^[^\x00]*$")]
    user: Name | None = None
    timeout: Annotated[int, Field(ge=1, le=900)] = 30


class CommandOutput(Value):
    """What a command writes, errors included, is as claimed, and it ends with `status`.

    `equals` is compared without white space at both ends.
    """

    command: Annotated[str, Field(min_length=1, max_length=8192, pattern=r"^[^\x00]*$")]
    contains: Annotated[Text, Field(min_length=1)] | None = None
    matches: Pattern | None = None
    equals: Text | None = None
    status: Annotated[int, Field(ge=0, le=255)] = 0
    user: Name | None = None
    timeout: Annotated[int, Field(ge=1, le=900)] = 30

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.contains is None and self.matches is None and self.equals is None:
            raise ValueError("give `contains`, `matches` or `equals`")
        return self


class HttpResponds(Value):
    """An HTTP request from inside the guest is answered. `timeout` is in seconds."""

    url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[^\s\x00-\x1f]*)?$", max_length=2048)]
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")] | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] = "GET"
    timeout: Annotated[int, Field(ge=1, le=120)] = 10


class KernelParameter(Value):
    """A parameter of the kernel's command line, with `value` if given."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
    value: Line | None = None


class MountPresent(Value):
    """Something is mounted on `path`; source, type and options are compared when given."""

    path: Path
    source: Line | None = None
    fstype: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    options: tuple[Annotated[str, Field(pattern=r"^[^\s,\x00-\x1f]{1,256}$")], ...] = ()


class SysctlValue(Value):
    """A kernel setting, named as for sysctl(8), has this value."""

    name: Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_-]*([./][A-Za-z0-9_:-]+)+$", max_length=256)]
    value: Line


class DnsResolves(Value):
    """The guest resolves a name as its programs do; `address` is among the answers if given."""

    name: Host
    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]{2,45}$")] | None = None


class PingReaches(Value):
    """An ICMP echo request is answered within `timeout` seconds."""

    host: Host
    timeout: Annotated[int, Field(ge=1, le=60)] = 5


class NoFailedUnits(Value):
    """No systemd unit has failed, but for those of `ignore`."""

    ignore: tuple[Name, ...] = ()
