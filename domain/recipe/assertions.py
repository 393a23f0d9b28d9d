"""An assertion: a claim about a running machine, whether it is to hold or not, and how long it may take."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from domain.model import Value
from domain.recipe import claims


class Claim(Value):
    """What all assertions have. `not` says that the claim must not hold.

    `within` gives it so many seconds to become right; without it, what takes a moment after the start is
    waited for a while, and all else is asked once.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    negated: bool = Field(default=False, alias="not")
    within: Annotated[int, Field(ge=1, le=3600)] | None = None


class UserExistsAssertion(Claim):
    """`user_exists`."""

    type: Literal["user_exists"]
    params: claims.UserExists


class GroupExistsAssertion(Claim):
    """`group_exists`."""

    type: Literal["group_exists"]
    params: claims.GroupExists


class ServiceRunningAssertion(Claim):
    """`service_running`."""

    type: Literal["service_running"]
    params: claims.ServiceClaim


class ServiceEnabledAssertion(Claim):
    """`service_enabled`."""

    type: Literal["service_enabled"]
    params: claims.ServiceClaim


class ProcessRunningAssertion(Claim):
    """`process_running`."""

    type: Literal["process_running"]
    params: claims.ProcessRunning


class PackageInstalledAssertion(Claim):
    """`package_installed`."""

    type: Literal["package_installed"]
    params: claims.PackageInstalled


class PackageNotInstalledAssertion(Claim):
    """`package_not_installed`."""

    type: Literal["package_not_installed"]
    params: claims.PackageNotInstalled


class PortListeningAssertion(Claim):
    """`port_listening`."""

    type: Literal["port_listening"]
    params: claims.PortListening


class HttpRespondsAssertion(Claim):
    """`http_responds`."""

    type: Literal["http_responds"]
    params: claims.HttpResponds


class FileExistsAssertion(Claim):
    """`file_exists`."""

    type: Literal["file_exists"]
    params: claims.FileExists


class FileContainsAssertion(Claim):
    """`file_contains`."""

    type: Literal["file_contains"]
    params: claims.FileContains


class CommandSucceedsAssertion(Claim):
    """`command_succeeds`."""

    type: Literal["command_succeeds"]
    params: claims.CommandSucceeds


class CommandOutputAssertion(Claim):
    """`command_output`."""

    type: Literal["command_output"]
    params: claims.CommandOutput


class KernelParameterAssertion(Claim):
    """`kernel_parameter`."""

    type: Literal["kernel_parameter"]
    params: claims.KernelParameter


class MountPresentAssertion(Claim):
    """`mount_present`."""

    type: Literal["mount_present"]
    params: claims.MountPresent


class SysctlValueAssertion(Claim):
    """`sysctl_value`."""

    type: Literal["sysctl_value"]
    params: claims.SysctlValue


class DnsResolvesAssertion(Claim):
    """`dns_resolves`."""

    type: Literal["dns_resolves"]
    params: claims.DnsResolves


class PingReachesAssertion(Claim):
    """`ping_reaches`."""

    type: Literal["ping_reaches"]
    params: claims.PingReaches


class NoFailedUnitsAssertion(Claim):
    """`no_failed_units`."""

    type: Literal["no_failed_units"]
    params: claims.NoFailedUnits = claims.NoFailedUnits()


Assertion = Annotated[
    UserExistsAssertion
    | GroupExistsAssertion
    | ServiceRunningAssertion
    | ServiceEnabledAssertion
    | ProcessRunningAssertion
    | PackageInstalledAssertion
    | PackageNotInstalledAssertion
    | PortListeningAssertion
    | HttpRespondsAssertion
    | FileExistsAssertion
    | FileContainsAssertion
    | CommandSucceedsAssertion
    | CommandOutputAssertion
    | KernelParameterAssertion
    | MountPresentAssertion
    | SysctlValueAssertion
    | DnsResolvesAssertion
    | PingReachesAssertion
    | NoFailedUnitsAssertion,
    Field(discriminator="type"),
]
