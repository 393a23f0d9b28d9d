"""By which names the factory may be called: the guard against DNS rebinding and foreign pages, for every door."""

from collections.abc import Collection, Iterable
from typing import Final

from domain.errors import Problem
from infra.host_names import host_named, host_of, host_of_url

_LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")
HOST_NOT_ALLOWED: Final = Problem(
    code="host.not_allowed",
    message="This factory is not known by this name.",
    next="Use the address it was set up with, or add the name to OPENFACTORY_ALLOWED_HOSTS.",
)
ORIGIN_NOT_ALLOWED: Final = Problem(
    code="origin.not_allowed",
    message="Pages of this origin may not call the factory.",
    next="Call it from a page of its own, or add the host to OPENFACTORY_ALLOWED_HOSTS.",
)


def allowed_hosts(public_url: str, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the hosts as `host_of` spells them, without a port: loopback, the public address, and `more`."""
    names = (*_LOCAL, host_of_url(public_url), *map(host_named, more))
    return tuple(dict.fromkeys(name for name in names if name))


def names_problem(host: str | None, origin: str | None, allowed: Collection[str]) -> tuple[int, Problem] | None:
    """Judge a request's Host and Origin headers: the HTTP status and why it is refused, or nothing."""
    if not host_allowed(host, allowed):
        return 421, HOST_NOT_ALLOWED
    if not origin_allowed(origin, allowed):
        return 403, ORIGIN_NOT_ALLOWED
    return None


def host_allowed(header: str | None, allowed: Collection[str]) -> bool:
    """Judge a Host header (RFC 9110, 7.2); any port is taken, as forwarders change it."""
    return header is not None and host_of(header) in allowed


def origin_allowed(header: str | None, allowed: Collection[str]) -> bool:
    """Judge an Origin header (RFC 6454, 7); what is no browser sends none, and `null` is refused."""
    return header is None or host_of_url(header) in allowed
