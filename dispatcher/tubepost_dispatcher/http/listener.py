"""The state of one listener for requests: configuration in force, connections, counts, a coarse clock."""

from __future__ import annotations

import asyncio
from typing import Final, Generic, Protocol

from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.idempotency import Remembered
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.smtp.auth_throttle import AuthThrottle
from tubepost_dispatcher.smtp.message_ids import MessageIds
from tubepost_dispatcher.transaction import DomainT

MAX_CONNECTIONS: Final = 1_000
"""Open connections of one worker; one more closes the one that was idle for longest."""
MAX_BODIES: Final = 128 * 1024 * 1024
"""Bytes of the bodies that one worker holds at a time."""


class OpenConnection(Protocol):
    """A connection as its listener knows it."""

    @property
    def idle_since(self) -> float | None:
        """Monotonic seconds; None while there is a request."""

    def tick(self, now: float) -> None:
        """Apply the time limits."""

    def shut_down(self, *, at_once: bool) -> None:
        """End after the requests that are open, or now."""


class RestState(Generic[DomainT]):
    """State of one listener. `now` is monotonic seconds as of the last sweep, near enough for time limits."""

    def __init__(self, metrics: Metrics, now: float) -> None:
        self.config: EffectiveRest[DomainT] | None = None
        """None: requests are not taken."""
        self.now = now
        self.connections: dict[OpenConnection, None] = {}
        self.ending = False
        """Connections end after the request that is open, or the first."""
        self.refusing = ""
        """Why no notification is taken: ServiceClosing or Overloaded; empty: they are."""
        self.arrivals = 0
        self.open_requests = 0
        self.bodies = 0
        """Bytes of bodies that are held."""
        self.emptied: asyncio.Event | None = None
        self.ids = MessageIds()
        self.throttle = AuthThrottle()
        self.remembered = Remembered()
        self._requests = metrics.rest_requests
        self._seconds = metrics.histogram_tally(metrics.rest_request_seconds)
        self._gauge = metrics.rest_connections
        self._gauge.set_function(lambda: len(self.connections))
        metrics.rest_open_requests.set_function(lambda: self.open_requests)
        self._tallies = {status: metrics.tally(self._requests.labels(str(status))) for status in (200, 202)}

    def enter(self, connection: OpenConnection) -> bool:
        """Count a connection in; False where there is no room, even after the idlest one was closed."""
        self.arrivals += 1
        if len(self.connections) >= MAX_CONNECTIONS:
            idle = [(since, one) for one in self.connections if (since := one.idle_since) is not None]
            if not idle:
                return False
            min(idle, key=lambda pair: pair[0])[1].shut_down(at_once=True)
        self.connections[connection] = None
        return True

    def leave(self, connection: OpenConnection) -> None:
        """Count it out; without effect for one that was never in."""
        self.connections.pop(connection, None)
        if self.emptied is not None and not self.connections:
            self.emptied.set()

    def answered(self, status: int, seconds: float) -> None:
        """Count a request."""
        tally = self._tallies.get(status)
        if tally is not None:
            tally.count += 1
        else:
            self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)
