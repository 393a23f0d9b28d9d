"""What a recipe may claim about the running image: one parameter model per assertion type."""

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Value

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,127}$")]
Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]{0,1023}$")]


class UserExists(Value):
    """A user account, by name; the rest is compared when given."""

    username: Name
    groups: tuple[Name, ...] = ()
    shell: Path | None = None
    home: Path | None = None


class PackageInstalled(Value):
    """A package is installed; `version` is compared as a prefix."""

    package: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=128)]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+~:-]{1,64}$")] | None = None


class ServiceClaim(Value):
    """A systemd unit; `.service` may be left out."""

    service: Name


class PortListening(Value):
    """Something listens on the port, on `address` if given, on any address otherwise."""

    port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["tcp", "udp"] = "tcp"
    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:*]{1,45}$")] | None = None


class FileExists(Value):
    """A file or folder; `mode` is octal, as text (`0644`)."""

    path: Path
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$")] | None = None
    owner: Name | None = None
    group: Name | None = None


class HttpResponds(Value):
    """An HTTP request from inside the guest is answered. `timeout` is in seconds."""

    url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+(/[^\s\x00-\x1f]*)?$", max_length=2048)]
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")] | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] = "GET"
    timeout: Annotated[int, Field(ge=1, le=120)] = 10


class UserExistsAssertion(Value):
    """`user_exists`."""

    type: Literal["user_exists"]
    params: UserExists


class PackageInstalledAssertion(Value):
    """`package_installed`."""

    type: Literal["package_installed"]
    params: PackageInstalled


class ServiceRunningAssertion(Value):
    """`service_running`."""

    type: Literal["service_running"]
    params: ServiceClaim


class ServiceEnabledAssertion(Value):
    """`service_enabled`."""

    type: Literal["service_enabled"]
    params: ServiceClaim


class PortListeningAssertion(Value):
    """`port_listening`."""

    type: Literal["port_listening"]
    params: PortListening


class FileExistsAssertion(Value):
    """`file_exists`."""

    type: Literal["file_exists"]
    params: FileExists


class HttpRespondsAssertion(Value):
    """`http_responds`."""

    type: Literal["http_responds"]
    params: HttpResponds


Assertion = Annotated[
    UserExistsAssertion
    | PackageInstalledAssertion
    | ServiceRunningAssertion
    | ServiceEnabledAssertion
    | PortListeningAssertion
    | FileExistsAssertion
    | HttpRespondsAssertion,
    Field(discriminator="type"),
]
