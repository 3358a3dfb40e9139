"""A timer that can be moved."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """Calls back at a moment of `clock`, once per setting; there is one timer of the event loop at most.

    The timer runs on the loop's clock, whatever `clock` is: only differences are passed on.
    """

    __slots__ = ("_callback", "_clock", "_loop", "_timer", "at")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        callback: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self.at = math.inf
        """The moment it is set to; infinity when it is not set."""

    def set(self, when: float) -> None:
        """Set it, replacing the moment it was set to; a moment in the past means now."""
        self.cancel()
        self.at = when
        self._timer = self._loop.call_later(max(0.0, when - self._clock()), self._ring)

    def no_later_than(self, when: float) -> None:
        """Set it to a moment unless it is set to an earlier one."""
        if when < self.at:
            self.set(when)

    def cancel(self) -> None:
        """Do not call back until it is set again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.at = math.inf

    def _ring(self) -> None:
        self._timer = None
        self.at = math.inf
        self._callback()
