"""The header of the PROXY protocol, versions 1 and 2: whom a load balancer has connected. Pure.

Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

MAX_V1: Final = 107
"""Octets of a header of version 1, its line end included."""
MAX_V2: Final = 2_048
"""Octets of one of version 2 with all that load balancers add (TLVs); some hundreds are usual."""

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = 16
"""Octets of version 2 before the addresses."""
_LOCAL, _PROXY = 0x20, 0x21
_SIZES: Final = {0x11: 4, 0x21: 16}
"""Octets of an address of TCP over IPv4 and IPv6."""
_UNKNOWN: Final = frozenset({0x00, 0x31, 0x32})
"""Unspecified, and Unix sockets: no address to speak of."""
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


class MalformedHeader(ValueError):
    """The octets are no header of the PROXY protocol for TCP."""


class Header(NamedTuple):
    """A header of `size` octets. `address` is empty for a connection of the load balancer's own."""

    size: int
    address: str
    port: int


def read_header(data: bytes) -> Header | None:
    """Read the header that `data` begins with; None while more of it has to come.

    Raises:
        MalformedHeader: there will never be one.
    """
    if data.startswith(_V1):
        return _read_v1(data)
    if data.startswith(_V2):
        return _read_v2(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    raise MalformedHeader("no header of the PROXY protocol")


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise MalformedHeader("version 1, too long")
        return None
    words = data[len(_V1) : end].decode("ascii", "replace").split(" ")
    if words[0] == "UNKNOWN":
        return Header(end + 2, "", 0)
    if len(words) != 5 or words[0] not in ("TCP4", "TCP6"):
        raise MalformedHeader("version 1, not of TCP4 or TCP6")
    family = ipaddress.IPv4Address if words[0] == "TCP4" else ipaddress.IPv6Address
    try:
        source, _ = family(words[1]), family(words[2])
    except ValueError as error:
        raise MalformedHeader("version 1, an address that is none") from error
    if not all(_PORT.fullmatch(word) and int(word) < 65_536 for word in words[3:]):
        raise MalformedHeader("version 1, a port that is none")
    return Header(end + 2, _plain(source), int(words[3]))


def _read_v2(data: bytes) -> Header | None:
    if len(data) < _FIXED:
        return None
    command, family = data[12], data[13]
    length = int.from_bytes(data[14:16], "big")
    size = _FIXED + length
    if command not in (_LOCAL, _PROXY):
        raise MalformedHeader("version 2, an unknown command")
    if size > MAX_V2:
        raise MalformedHeader("version 2, too long")
    if len(data) < size:
        return None
    if command == _LOCAL or family in _UNKNOWN:
        return Header(size, "", 0)
    octets = _SIZES.get(family)
    if octets is None:
        raise MalformedHeader("version 2, not of TCP")
    if length < 2 * octets + 4:
        raise MalformedHeader("version 2, too short for its addresses")
    source = ipaddress.ip_address(data[_FIXED : _FIXED + octets])
    port = _FIXED + 2 * octets
    return Header(size, _plain(source), int.from_bytes(data[port : port + 2], "big"))


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address).partition("%")[0]
