"""The recipe's canonical form: the published field names, strict, with every default spelled out.

Clients write both camelCase and snake_case; `domain.recipe.parse` accepts both and makes this form.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from domain.model import Value
from domain.recipe.assertions import Assertion

BaseImage = Literal["debian-bookworm", "debian-trixie"]
SUITES: dict[BaseImage, str] = {"debian-bookworm": "bookworm", "debian-trixie": "trixie"}

PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=128)]  # Debian Policy 5.6.1
UnitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,127}$")]
AccountName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]  # adduser(8), NAME_REGEX
AbsolutePath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/+-]{0,255}$")]

MAX_BYTES = 256 * 1024


class SshConfig(Value):
    """sshd's settings. `timeout` is LoginGraceTime and `client_alive_interval` is in seconds too."""

    port: Annotated[int, Field(ge=1, le=65535)] = 22
    allow_root: bool = False
    disable_password_auth: bool = False
    timeout: Annotated[int, Field(ge=0, le=3600)] = 120
    client_alive_interval: Annotated[int, Field(ge=0, le=3600)] = 60
    max_auth_tries: Annotated[int, Field(ge=1, le=100)] = 6
    permit_empty_passwords: bool = False


class SshService(Value):
    """The SSH server: brings `openssh-server`."""

    name: Literal["ssh"]
    enabled: bool = True
    config: SshConfig = SshConfig()


class UnitService(Value):
    """Any other systemd unit, enabled or disabled as it is; its package is the recipe's to name."""

    name: UnitName
    enabled: bool = True


def _service_kind(value: Any) -> str:  # noqa: ANN401 - input that nothing has judged yet
    """Tell by the name which model judges a service, so that its errors are about that model alone."""
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - hostile input
    return "ssh" if name == "ssh" else "unit"


Service = Annotated[
    Annotated[SshService, Tag("ssh")] | Annotated[UnitService, Tag("unit")], Discriminator(_service_kind)
]


class User(Value):
    """An account of the image. Without a password hash or key nobody can log in as it.

    `password_hash` is a crypt(5) string, never a password.
    """

    username: AccountName
    uid: Annotated[int, Field(ge=1000, le=59999)] | None = None
    groups: tuple[AccountName, ...] = ()
    shell: AbsolutePath = "/bin/bash"
    home: AbsolutePath | None = None
    sudo: bool = False
    ssh_keys: tuple[Annotated[str, Field(max_length=16384)], ...] = ()
    password_hash: Annotated[str, Field(pattern=r"^\$[0-9a-z]+\$[A-Za-z0-9./$=,+-]{8,250}$")] | None = None


class StartupScript(Value):
    """A program run once, as root, at the first boot. Without `#!` it is run by /bin/sh."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    script: Annotated[str, Field(min_length=1, max_length=65536, pattern=r"^[^\x00]*$")]


class RecipeTest(Value):
    """Claims about the running image that must hold before it is called verified."""

    description: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
    assertions: Annotated[tuple[Assertion, ...], Field(min_length=1, max_length=200)]


class Recipe(Value):
    """What an image should be. Equal recipes have equal canonical JSON and so equal digests."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    baseImage: BaseImage
    packages: Annotated[tuple[PackageName, ...], Field(max_length=2000)] = ()
    services: Annotated[tuple[Service, ...], Field(max_length=200)] = ()
    users: Annotated[tuple[User, ...], Field(max_length=200)] = ()
    startupScripts: Annotated[tuple[StartupScript, ...], Field(max_length=50)] = ()
    tests: Annotated[tuple[RecipeTest, ...], Field(max_length=200)] = ()
    guestAgent: bool = True

    @property
    def suite(self) -> str:
        """The distribution's code name."""
        return SUITES[self.baseImage]

    @property
    def ssh(self) -> SshConfig | None:
        """The SSH server's settings, if the recipe has one."""
        return next((s.config for s in self.services if isinstance(s, SshService)), None)
