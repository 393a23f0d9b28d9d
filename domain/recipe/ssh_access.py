"""How the factory enters a guest that has no agent: over SSH, with a key made for one VM and kept in no image."""

from typing import Annotated

from pydantic import Field

from domain.model import Value
from domain.recipe.schema import Recipe, SshService, User

_NO_LOGIN = frozenset({"nologin", "false"})


class SshAccess(Value):
    """The account that the VM's key is given to at its start, and the port of the SSH server.

    An account other than root becomes root by sudo(8), which must not ask for a password.
    """

    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = "root"
    home: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/+-]{0,255}$")] = "/root"
    port: Annotated[int, Field(ge=1, le=65535)] = 22


def ssh_access_of(recipe: Recipe) -> SshAccess | None:
    """Tell how an image of this recipe can be entered; nothing if its agent does that, or nobody can.

    Root, if the recipe's SSH server lets it in; else the first user who needs no password for sudo.
    """
    if recipe.guestAgent or recipe.ssh is None or not _runs(recipe):
        return None
    if recipe.ssh.allow_root:
        return SshAccess(port=recipe.ssh.port)
    user = next((user for user in recipe.users if _may_all(user)), None)
    if user is None:
        return None
    return SshAccess(user=user.username, home=user.home or f"/home/{user.username}", port=recipe.ssh.port)


def _runs(recipe: Recipe) -> bool:
    return any(isinstance(service, SshService) and service.enabled for service in recipe.services)


def _may_all(user: User) -> bool:
    return user.sudo and user.password_hash is None and user.shell.rpartition("/")[2] not in _NO_LOGIN
