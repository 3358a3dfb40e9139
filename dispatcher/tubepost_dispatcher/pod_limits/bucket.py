"""A token bucket of one process, that takes the time as an argument."""

from __future__ import annotations

from tubepost_api.config import Throttle


class TokenBucket:
    """At most `limit.messages` in every `limit.seconds`, with bursts up to that figure.

    Equivalent of Momentum's `outbound_throttle_messages`. Reservations are first come, first served: each
    caller is told when its turn is, so that nobody polls.
    """

    __slots__ = ("__weakref__", "_burst", "_interval", "_next_free")

    def __init__(self, limit: Throttle) -> None:
        self._interval = limit.seconds / limit.messages
        self._burst = limit.seconds
        self._next_free = float("-inf")
        """When the bucket would be full again, had it to give one message every interval from now on."""

    def reserve(self, now: float, not_after: float) -> float:
        """Reserve one message, as `Bucket.reserve` says."""
        # Generic cell rate algorithm: `_next_free` is the theoretical arrival time of the next message.
        arrival = max(self._next_free, now)
        turn = max(now, arrival - max(0.0, self._burst - self._interval))
        if turn > not_after:
            return -1.0
        self._next_free = arrival + self._interval
        return turn
