"""Which client asks, and which network its address belongs to: what limits per address count."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_WITH_PORT = re.compile(r"\[([^][]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}")


def network_of(address: str | None) -> str:
    """Return an IPv4 address as it is and of an IPv6 address its /64, which one subscriber has (RFC 6177)."""
    parsed = _address((address or "").strip().strip("[]"))
    if parsed is None:
        return "unknown"
    return str(parsed) if isinstance(parsed, IPv4Address) else str(IPv6Network((parsed, 64), strict=False))


def client_address(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[IPv4Network | IPv6Network]
) -> str | None:
    """Return the address of the client: the peer's, or what proxies in front of us say, if the peer is one of ours.

    `forwarded` are the values of X-Forwarded-For. Each proxy adds at the end from whom it got the request, so they are
    read from there up to the first that is no proxy of ours: what is before that one may be anybody's invention. If
    all are proxies of ours, the first has asked itself. What is no address says nothing, and the peer counts.
    """
    near = _address(peer or "")
    if near is None or not _among(near, trusted):
        return peer
    found = near
    for word in reversed([word for line in forwarded for word in line.split(",")]):
        told = _told(word)
        if told is None:
            return peer
        found = told
        if not _among(found, trusted):
            break
    return str(found)


def _told(word: str) -> IPv4Address | IPv6Address | None:
    """Read an entry of X-Forwarded-For; some proxies add the port, and brackets around IPv6."""
    text = word.strip()
    bare = _WITH_PORT.fullmatch(text)
    return _address(text if bare is None else bare[1] or bare[2] or "")


def _among(address: IPv4Address | IPv6Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped
