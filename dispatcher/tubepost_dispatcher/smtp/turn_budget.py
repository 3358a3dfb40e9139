"""Fairness among the sessions of one listener while large messages come in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

TURN_BUDGET = 1024 * 1024
"""Octets of large messages that all sessions together take in one turn of the loop; then they queue up.

libuv hands a busy connection's input over in up to 32 pieces of 256 KB without a break: ten such connections
would hold the loop for a tenth of a second."""
RESUMED_PER_TURN = 4
"""Sessions of that queue that may go on in each turn, with a piece of at most 256 KB each."""


class TurnBudget:
    """What sessions may read in one turn of the loop, and the queue of those that have to wait."""

    __slots__ = ("_scheduled", "_waiting", "spent")

    def __init__(self) -> None:
        self.spent = 0
        """Octets of `TURN_BUDGET` that are spent in this turn."""
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def charge(self, loop: asyncio.AbstractEventLoop, octets: int, resume: Callable[[], None]) -> bool:
        """Spend `octets`; False when the caller has to stop reading until `resume` is called."""
        self.spent += octets
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next_turn, loop)
        if self.spent <= TURN_BUDGET:
            return True
        self._waiting.append(resume)
        return False

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self.spent = 0
        waiting = self._waiting
        for _ in range(min(RESUMED_PER_TURN, len(waiting))):
            waiting.popleft()()
        self._scheduled = bool(waiting)
        if waiting:
            loop.call_soon(self._next_turn, loop)
