"""Addresses of the clusters: each has a block of its own out of 198.18.0.0/15 (RFC 2544, never routed)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

_POOL = ipaddress.ip_network("198.18.0.0/15")
_PREFIX = 20


@dataclass(frozen=True)
class Block:
    """The addresses of one cluster: the link to this machine, then Services, then pods."""

    index: int

    @property
    def network(self) -> ipaddress.IPv4Network:
        """All of it, 4096 addresses."""
        size = 2 ** (32 - _PREFIX)
        return ipaddress.IPv4Network((int(_POOL.network_address) + self.index * size, _PREFIX))

    @property
    def machine(self) -> str:
        """This machine's end of the link."""
        return str(self.network[1])

    @property
    def node(self) -> str:
        """The node's end of the link: the API server, the kubelet and the DNS server listen there."""
        return str(self.network[2])

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Cluster addresses of Services."""
        return list(self.network.subnets(new_prefix=22))[1]

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """Addresses of pods."""
        return list(self.network.subnets(new_prefix=22))[2]

    @property
    def kubernetes(self) -> str:
        """The Service address of the API server: the first one."""
        return str(self.services[1])

    @property
    def link(self) -> str:
        """Name of this machine's network interface towards the node, and of the node's cgroup."""
        return f"tubepost{self.index}"


def free_block(taken: Collection[int], routes: Collection[str], links: Collection[str] = ()) -> Block | None:
    """The first block that no run has and no route of this machine touches; None when all are taken.

    Args:
        taken: indexes of blocks in use.
        links: names of this machine's network interfaces.
        routes: destinations of this machine's routes, as `ip route` prints them.
    """
    known = []
    for route in routes:
        try:
            known.append(ipaddress.IPv4Network(route))
        except ValueError:  # "default", "unreachable", IPv6
            continue
    for index in range(2 ** (_PREFIX - _POOL.prefixlen)):
        block = Block(index)
        free = index not in taken and block.link not in links
        if free and not any(block.network.overlaps(network) for network in known):
            return block
    return None
