"""Liveness of a connection: when to send PING, and when silence means that the peer is gone.

Pure: times are monotonic seconds, passed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

PING_SHARE = 0.4
"""Share of the response timeout after which an unanswered request makes us send PING."""
QUIET_SHARE = 0.1
"""Share of the response timeout for which nothing may have been read before that PING."""
PING_ANSWER_SHARE = 0.4
"""Share of the response timeout for which nothing may be read after the PING; then the connection is dead."""
IDLE_PING = 60.0
"""Seconds without a byte on a connection without requests, before PING (NATs forget silent connections)."""
IDLE_PING_ANSWER = 20.0
"""Seconds within which something must be read after that."""
SECOND_LOOK = 0.05
"""Seconds between finding a connection dead and believing it: what has arrived is read first."""


class Oldest(NamedTuple):
    """The oldest unanswered request among those with the same response timeout."""

    timeout: float
    sent_at: float

    @property
    def deadline(self) -> float:
        """When its response timeout ends."""
        return self.sent_at + self.timeout


class Liveness:
    """The last signs of life of one connection."""

    __slots__ = ("_patience", "_ping_at", "idle_since", "last_read")

    def __init__(self, now: float) -> None:
        self.last_read = now
        """When something was last read."""
        self.idle_since = now
        """When the last request ended; meaningless while there are requests."""
        self._ping_at = -math.inf
        self._patience = IDLE_PING_ANSWER

    @property
    def silent(self) -> bool:
        """Nothing has been read since the last PING."""
        return self._ping_at > self.last_read

    def is_dead(self, now: float, oldest: Iterable[Oldest]) -> bool:
        """Say whether a silent connection has been silent for too long."""
        if not self.silent:
            return False
        if now >= self._ping_at + self._patience:
            return True
        # A deadline is near: do not let a request time out that could still move to another connection.
        return any(now >= one.deadline - 2 * SECOND_LOOK for one in oldest) and (
            now >= self._ping_at + self._patience / 2
        )

    def next(self, now: float, oldest: Sequence[Oldest], idle_timeout: float) -> tuple[bool, float]:
        """Say whether to send PING now, which then counts as sent, and when to ask again.

        Args:
            now: the present moment.
            oldest: one for each response timeout with unanswered requests; none on an idle connection.
            idle_timeout: seconds after which the owner closes an idle connection.
        """
        ping = False
        wake = math.inf
        for one in oldest:
            timeout = one.timeout
            wake = min(wake, one.deadline)
            if self.silent:
                wake = min(wake, one.deadline - 2 * SECOND_LOOK)
                continue
            due = max(
                one.sent_at + timeout * PING_SHARE,
                self.last_read + timeout * QUIET_SHARE,
                self._ping_at + timeout * PING_SHARE,
            )
            if due <= now:
                ping = True
                self._pinged(now, timeout * PING_ANSWER_SHARE)
            else:
                wake = min(wake, due)
        if not oldest:
            due = max(self.last_read, self._ping_at, self.idle_since) + IDLE_PING
            if due <= now:
                ping = True
                self._pinged(now, IDLE_PING_ANSWER)
                due = math.inf
            wake = min(self.idle_since + idle_timeout, due)
        if self.silent:
            wake = min(wake, self._ping_at + self._patience)
        # Never in the past, or the timer would spin: whatever is due in this tick has been handled.
        return ping, max(wake, now + SECOND_LOOK / 5)

    def _pinged(self, now: float, patience: float) -> None:
        self._ping_at = now
        self._patience = patience
