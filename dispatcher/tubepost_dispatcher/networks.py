"""Who is one client where clients are counted: an IPv4 address, or the /64 of an IPv6 address. Pure."""

from __future__ import annotations

import ipaddress


def network_of(address: str) -> str:
    """The client that an address belongs to. A host has a /64 of IPv6 for itself, and may use all of it."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
