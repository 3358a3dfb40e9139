"""Clocks for code that takes its clock as an argument. Seconds, as `time.monotonic` and `time.time` return."""

from __future__ import annotations

import time


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class OffsetClock:
    """Runs with the real monotonic clock, ahead of it by what a test has skipped.

    For code on a real event loop: sockets take the time they take, long waits none.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds
