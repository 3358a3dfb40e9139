"""How many sessions may be open: all together, and of one address. Pure.

The seam for counting what several workers of a pod hold: the listener asks a `Places`, and does not count.
"""

from __future__ import annotations

import enum
from typing import Protocol

from tubepost_api.config import ListenerLimits

SCARCE_ABOVE = 0.8
"""Share of a limit above which places are scarce, and idle clients get less time."""


class Full(enum.Enum):
    """Which limit is reached."""

    LISTENER = "listener"
    CLIENT = "client"


class Places(Protocol):
    """Counts open sessions against the limits. Every method returns at once."""

    def take(self, address: str, limits: ListenerLimits) -> Full | None:
        """Take a place for a client; the limit that is reached when there is none."""

    def give(self, address: str) -> None:
        """Give back one place that `take` gave to this address."""

    def scarce(self, address: str, limits: ListenerLimits) -> bool:
        """Whether nearly all places are taken, or nearly all that one address may have."""


class OwnPlaces:
    """The places of one listener, counted by itself."""

    __slots__ = ("_by_address", "_taken")

    def __init__(self) -> None:
        self._taken = 0
        self._by_address: dict[str, int] = {}

    def take(self, address: str, limits: ListenerLimits) -> Full | None:
        """See `Places`."""
        here = self._by_address.get(address, 0)
        if limits.max_connections and self._taken >= limits.max_connections:
            return Full.LISTENER
        if limits.max_connections_per_client and here >= limits.max_connections_per_client:
            return Full.CLIENT
        self._taken += 1
        self._by_address[address] = here + 1
        return None

    def give(self, address: str) -> None:
        """See `Places`."""
        self._taken -= 1
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]

    def scarce(self, address: str, limits: ListenerLimits) -> bool:
        """See `Places`."""
        most, of_client = limits.max_connections, limits.max_connections_per_client
        return (most > 0 and self._taken > SCARCE_ABOVE * most) or (
            of_client > 0 and self._by_address.get(address, 0) > SCARCE_ABOVE * of_client
        )
