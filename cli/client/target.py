"""Which factory a command talks to, and as whom."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from cli.client.failures import KeyRefused, UsageFailure
from domain.errors import Problem
from domain.model import Value

_DEFAULT_PORT = 7300


class Target(Value):
    """A factory's address (`http://host:port`, no path) and the key to show it."""

    url: str
    key: SecretStr

    @property
    def mcp_url(self) -> str:
        """The MCP endpoint (Streamable HTTP)."""
        return f"{self.url}/mcp-stream/mcp"


def read_target(environ: Mapping[str, str] | None = None) -> Target:
    """Find the factory: OPENFACTORY_URL and OPENFACTORY_API_KEY, else the local stack and its operator key.

    The local operator key is only ever shown to an address of this machine.

    Raises:
        UsageFailure: an address that is none.
        KeyRefused: there is no key to show.

    """
    env = os.environ if environ is None else environ
    url = read_address(env)
    host = _host(url)
    key = env.get("OPENFACTORY_API_KEY") or (_operator_key(env) if _is_this_machine(host) else None)
    if not key:
        raise KeyRefused(_no_key(env, host))
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRefused(
            Problem(
                code="auth.key_malformed",
                message="The API key holds characters that no key has.",
                path="OPENFACTORY_API_KEY",
                next="Copy the key again, without spaces or line breaks.",
            )
        )
    return Target(url=url, key=SecretStr(key))


def read_address(environ: Mapping[str, str] | None = None) -> str:
    """Find the factory's address alone.

    Raises:
        UsageFailure: an address that is none.

    """
    env = os.environ if environ is None else environ
    url = (env.get("OPENFACTORY_URL") or f"http://127.0.0.1:{env.get('OPENFACTORY_PORT') or _DEFAULT_PORT}").rstrip("/")
    _host(url)
    return url


def local_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the data folder of the stack on this machine."""
    env = os.environ if environ is None else environ
    default = "/var/lib/openfactory" if os.geteuid() == 0 else "~/.local/share/openfactory"
    return Path(env.get("OPENFACTORY_HOME") or default).expanduser().absolute()


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and not parts.query and parts.username is None
    except ValueError:
        parts, usable = urlsplit(""), False
    if not usable or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageFailure(
            Problem(
                code="client.bad_address",
                message=f"This is not the address of a factory: {url}",
                path="OPENFACTORY_URL",
                next="Set OPENFACTORY_URL to something like http://127.0.0.1:7300 (and OPENFACTORY_PORT to a number).",
            )
        )
    return parts.hostname


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _operator_key(env: Mapping[str, str]) -> str | None:
    try:
        return (local_home(env) / "secrets" / "operator.key").read_text("utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise KeyRefused(
            Problem(
                code="auth.key_unreadable",
                message=f"The operator key cannot be read: {error.strerror}: {error.filename}",
                next="Run the command as the user who runs the stack, or set OPENFACTORY_API_KEY.",
            )
        ) from error


def _no_key(env: Mapping[str, str], host: str) -> Problem:
    if not _is_this_machine(host):
        return Problem(
            code="auth.key_missing",
            message=f"There is no API key for {host}.",
            path="OPENFACTORY_API_KEY",
            next="Set OPENFACTORY_API_KEY to a key of that factory. The local stack's key is not sent elsewhere.",
        )
    return Problem(
        code="auth.key_missing",
        message=f"There is no operator key in {local_home(env)} and OPENFACTORY_API_KEY is not set.",
        path="OPENFACTORY_API_KEY",
        next="Start the stack with ./openfactory up (it makes the key), or set OPENFACTORY_API_KEY.",
    )
