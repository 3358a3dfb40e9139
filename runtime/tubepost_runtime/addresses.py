"""Addresses that a process listens on, in both IP families, and how an address with a port is written."""

from __future__ import annotations

import socket
from typing import Final

ALL: Final = "::"
"""All addresses of both families."""
LOOPBACK: Final = "localhost"
"""The loopback addresses of both families."""


def listening_addresses(host: str) -> tuple[str, ...]:
    """The addresses to bind for a host, in this order.

    `::` stands for all addresses of both families, by one socket, and for those of IPv4 where the machine has
    no IPv6; `localhost` for the loopback addresses that it has. Anything else stands for itself.
    """
    if host == ALL:
        return (ALL,) if socket.has_dualstack_ipv6() else ("0.0.0.0",)  # noqa: S104 - what `::` stands for
    if host == LOOPBACK:
        return tuple(address for address in ("127.0.0.1", "::1") if _can_bind(address)) or ("127.0.0.1",)
    return (host,)


def family_of(address: str) -> socket.AddressFamily:
    """The family of an IP address, or of a name: IPv4."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bind(address: str, port: int, *, shared: bool = False) -> socket.socket:
    """Bind a TCP socket, which does not listen yet; one for `::` takes IPv4 too.

    Args:
        address: one of `listening_addresses`.
        port: 0 for any.
        shared: other sockets of this process may be bound to the same port (SO_REUSEPORT).

    Raises:
        OSError: the address cannot be bound.
    """
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != ALL)
        sock.bind((address, port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_all(host: str, port: int) -> list[socket.socket]:
    """Bind a socket for each of a host's addresses, all to one port.

    Raises:
        OSError: an address cannot be bound; nothing is left open then.
    """
    bound: list[socket.socket] = []
    try:
        for address in listening_addresses(host):
            bound.append(bind(address, port))
            port = bound[0].getsockname()[1]
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    return bound


def with_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _can_bind(address: str) -> bool:
    try:
        bind(address, 0).close()
    except OSError:
        return False
    return True
