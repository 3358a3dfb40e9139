"""The outbound throttle: a token bucket that takes the time as an argument."""

from __future__ import annotations

from tubepost_api.config import Throttle


class TokenBucket:
    """At most `limit.messages` in every `limit.seconds`, with bursts up to that figure.

    Equivalent of Momentum's `outbound_throttle_messages`. Reservations are first come, first served: each
    caller is told when its turn is, so that nobody polls. `sharers`: how many workers divide the limit.
    """

    __slots__ = ("_burst", "_interval", "_next_free")

    def __init__(self, limit: Throttle, sharers: int = 1) -> None:
        # Each of several workers takes its share of the pod's rate.
        self._interval = limit.seconds / limit.messages * sharers
        self._burst = limit.seconds
        self._next_free = float("-inf")
        """When the bucket would be full again, had it to give one message every interval from now on."""

    def reserve(self, now: float, not_after: float) -> float:
        """Reserve one message.

        Args:
            now: monotonic seconds.
            not_after: the latest acceptable turn, monotonic seconds.

        Returns:
            The turn: the time at which the message may leave (`now` means at once), or -1.0 when its turn
            would come after `not_after`; then nothing is reserved.
        """
        # Generic cell rate algorithm: `_next_free` is the theoretical arrival time of the next message.
        arrival = max(self._next_free, now)
        turn = max(now, arrival - max(0.0, self._burst - self._interval))
        if turn > not_after:
            return -1.0
        self._next_free = arrival + self._interval
        return turn
