"""Which network an address belongs to: what limits per address count."""

from ipaddress import IPv6Address, IPv6Network, ip_address


def network_of(address: str | None) -> str:
    """Return an IPv4 address as it is and of an IPv6 address its /64, which one subscriber has (RFC 6177)."""
    try:
        parsed = ip_address((address or "").strip().strip("[]").partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, 64), strict=False))
