"""How many streams a client may have open on one connection."""

from __future__ import annotations

from collections import deque

from tubepost_simulator.chaos import AdaptiveStreams
from tubepost_simulator.switchboard import Switchboard

MAX_STREAMS = 1_000
"""Apple's own limit; it also holds before the client has acknowledged anything."""
_MAX_UNACKNOWLEDGED = 8


class StreamLimit:
    """SETTINGS_MAX_CONCURRENT_STREAMS of a connection: wanted, announced, acknowledged."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self.by_certificate = False
        """The client has shown a certificate."""
        self.proven = False
        """The last answer on this connection was a 200, or there is a certificate and no answer yet."""
        self.override: int | None = None
        """The limit that the switch `streamsAfter` has put into force."""
        self.announced = 0
        self.acknowledged: int | None = None
        """None before the first acknowledgement."""
        self._unacknowledged: deque[int] = deque()

    def wanted(self) -> int:
        """The limit that should be in force."""
        chaos = self._board.chaos
        limit = chaos.max_concurrent_streams if self.override is None else self.override
        adaptive = chaos.adaptive_streams
        if self.proven or adaptive is AdaptiveStreams.OFF:
            return limit
        if adaptive is AdaptiveStreams.TOKEN and self.by_certificate:
            return limit
        return min(limit, 1)

    def due(self) -> int | None:
        """The limit to announce now; None if it has not changed, or the client acknowledges too slowly."""
        limit = self.wanted()
        if limit == self.announced or len(self._unacknowledged) >= _MAX_UNACKNOWLEDGED:
            return None
        return limit

    def announce(self, limit: int) -> None:
        """Note that a limit has been announced."""
        self.announced = limit
        self._unacknowledged.append(limit)

    def acknowledge(self) -> None:
        """Note an acknowledgement of SETTINGS; one too many is ignored."""
        if self._unacknowledged:
            self.acknowledged = self._unacknowledged.popleft()

    def forbids(self, open_streams: int) -> bool:
        """Whether a client with so many open streams may not open another one."""
        if self.acknowledged is None:
            allowed = MAX_STREAMS
        else:
            # A lower limit binds the client once it has acknowledged it, a higher one at once.
            allowed = max(self.acknowledged, *self._unacknowledged, 0)
        return open_streams >= min(allowed, max(MAX_STREAMS, self.announced))
