"""How many sessions may be open: all together, and of one address; in the pod, whichever worker has them."""

from __future__ import annotations

import enum

from tubepost_api.config import ListenerLimits
from tubepost_dispatcher.pod_limits.interface import PodLimits

SCARCE_ABOVE = 0.8
"""Share of a limit above which places are scarce, and idle clients get less time."""
_ALL = "sessions"


class Full(enum.Enum):
    """Which limit is reached."""

    LISTENER = "listener"
    CLIENT = "client"


class SessionLimits:
    """Counts open sessions against the limits. Every method returns at once.

    They are counted where there is no limit, too, since a reload may bring one.

    Args:
        limits: the pod's.
    """

    __slots__ = ("_limits",)

    def __init__(self, limits: PodLimits) -> None:
        self._limits = limits

    def take(self, address: str, limits: ListenerLimits) -> Full | None:
        """Take a place for a client; the limit that is reached when there is none."""
        # The client's first: what is refused for its own limit must not take the last place for a moment.
        if not self._limits.take(_of(address), limits.max_connections_per_client):
            return Full.CLIENT
        if not self._limits.take(_ALL, limits.max_connections):
            self._limits.give(_of(address))
            return Full.LISTENER
        return None

    def give(self, address: str) -> None:
        """Give back one place that `take` gave to this address."""
        self._limits.give(_ALL)
        self._limits.give(_of(address))

    def scarce(self, address: str, limits: ListenerLimits) -> bool:
        """Whether nearly all places are taken, or nearly all that one address may have."""
        most, of_client = limits.max_connections, limits.max_connections_per_client
        return (most > 0 and self._limits.taken(_ALL) > SCARCE_ABOVE * most) or (
            of_client > 0 and self._limits.taken(_of(address)) > SCARCE_ABOVE * of_client
        )


def _of(address: str) -> str:
    return f"sessions of {address}"
