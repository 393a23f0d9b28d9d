"""Hosts as one asks for them over HTTP, in one spelling each, so that they can be compared."""

import re
from ipaddress import IPv6Address
from typing import Final

# RFC 3986, 3.2.2 and 3.2.3, without what no name or address in use has. Underscores are names of containers.
_NAMED: Final = re.compile(r"(?P<name>[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?\.?)(?::[0-9]*)?")
_IN_BRACKETS: Final = re.compile(r"\[(?P<address>[0-9a-f:.]+)\](?::[0-9]*)?")
_ADDRESS: Final = re.compile(r"https?://(?P<authority>[^/?#]+)(?:/[^?#]*)?", re.IGNORECASE | re.ASCII)


def host_of_url(url: str) -> str | None:
    """Return the host of an `http` or `https` address as `host_of` does; nothing for any other, or one with a query."""
    # By hand: workflows read settings, and see no module that could open an address.
    found = _ADDRESS.fullmatch(url)
    return None if found is None else host_of(found["authority"])


def host_of(authority: str) -> str | None:
    """Return the host of `host` or `host:port`; nothing for what is neither.

    Names are in lower case, addresses of IPv6 in brackets and as short as they can be.
    """
    text = authority.strip().lower() if authority.isascii() else ""  # some other letters are lower-cased to ASCII
    if (found := _NAMED.fullmatch(text)) is not None:
        return found["name"]
    found = _IN_BRACKETS.fullmatch(text)
    return None if found is None else _ipv6(found["address"])


def host_named(word: str) -> str | None:
    """Return the host that a person means, who may write an address of IPv6 without brackets."""
    return _ipv6(word.strip()) or host_of(word)


def _ipv6(text: str) -> str | None:
    try:
        address = IPv6Address(text)
    except ValueError:
        return None
    return None if address.scope_id else f"[{address}]"  # a zone has no meaning for others (RFC 6874, 1)
