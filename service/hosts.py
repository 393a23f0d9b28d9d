"""By which names the factory may be called: the guard against DNS rebinding and foreign pages."""

from collections.abc import Iterable
from urllib.parse import urlsplit

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def allowed_hosts(public_url: str, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the host names, lower-case and without a port: loopback, the public address, and `more`."""
    public = urlsplit(public_url).netloc
    return tuple(dict.fromkeys(name for name in (*_LOCAL, _without_port(public), *map(_without_port, more)) if name))


def host_allowed(header: str | None, allowed: Iterable[str]) -> bool:
    """Judge a Host header (RFC 9110, 7.2); any port is taken, as forwarders change it."""
    return header is not None and _without_port(header) in allowed


def origin_allowed(header: str | None, allowed: Iterable[str]) -> bool:
    """Judge an Origin header (RFC 6454, 7); what is no browser sends none, and `null` is refused."""
    if header is None:
        return True
    try:
        parts = urlsplit(header)
    except ValueError:  # brackets that hold no address
        return False
    return parts.scheme in {"http", "https"} and _without_port(parts.netloc) in allowed


def _without_port(authority: str) -> str:
    host, colon, port = authority.strip().lower().rpartition(":")
    return host if colon and port.isdecimal() else authority.strip().lower()
