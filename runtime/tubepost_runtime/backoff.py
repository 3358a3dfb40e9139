"""How long to wait before the next attempt. Pure: failures, the time and a source of jitter are passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Random = Callable[[], float]
"""Numbers from 0 to 1; `random.random`, or a test's own."""

_MANY = 60
"""Failures after which the delay has long reached its limit; a power of more could not be computed."""


@dataclass(frozen=True, slots=True)
class Exponential:
    """Delays that grow with every failure in a row.

    Attributes:
        first: seconds after the first failure.
        most: seconds that no delay exceeds, before jitter.
        factor: how much longer each delay is than the one before.
        jitter: every delay is multiplied by a random number between these two; (1, 1) for none.
    """

    first: float
    most: float
    factor: float = 2.0
    jitter: tuple[float, float] = (1.0, 1.0)

    def delay(self, failures: int, rng: Random = random.random) -> float:
        """Seconds to wait after so many failures in a row, at least one."""
        low, high = self.jitter
        delay = min(self.most, self.first * self.factor ** min(failures - 1, _MANY))
        return delay if low == high == 1.0 else delay * (low + (high - low) * rng())


class Backoff:
    """Counts the failures in a row of one thing that is tried again and again.

    Args:
        delays: how long to wait after a failure.
        rng: the source of jitter.
    """

    __slots__ = ("_delays", "_rng", "failures", "until")

    def __init__(self, delays: Exponential, rng: Random = random.random) -> None:
        self._delays = delays
        self._rng = rng
        self.failures = 0
        """Failures since the last success."""
        self.until = 0.0
        """The moment before which no attempt should be made, on the clock that `failure` is given."""

    def failure(self, now: float = 0.0) -> float:
        """Count a failure; returns the delay in seconds."""
        self.failures += 1
        delay = self._delays.delay(self.failures, self._rng)
        self.until = now + delay
        return delay

    def success(self) -> None:
        """Forget all failures."""
        self.failures = 0
        self.until = 0.0
