"""Deadlines of many things by one timer: a timer for each would cost more than what it guards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

LATE = 0.02
"""Seconds after a deadline at which it is looked at: who has a better answer to give has given it by then."""


class Deadlines(Generic[T]):
    """Calls `expired(item)` for every item whose deadline came before it was dropped.

    Items are looked at in the order in which they were added: one that is added behind an item with a later
    deadline (the deadline was shortened by a new configuration) expires together with that.
    """

    __slots__ = ("_clock", "_expired", "_items", "_loop", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], expired: Callable[[T], None]
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._expired = expired
        self._items: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Items that have neither expired nor been dropped."""
        return len(self._items)

    def add(self, item: T, deadline: float) -> None:
        """Watch an item; `deadline` by the clock given at the start, in seconds."""
        self._items[item] = deadline
        if self._timer is None:
            self._wait(deadline, self._clock())

    def drop(self, item: T) -> None:
        """Forget an item; one that is not watched is passed over."""
        self._items.pop(item, None)

    def _wait(self, deadline: float, now: float) -> None:
        # The timer runs on the loop's clock, of which only differences are used.
        self._timer = self._loop.call_later(max(0.0, deadline - now) + LATE, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock()
        late = []
        for item, deadline in self._items.items():
            if deadline > now:
                self._wait(deadline, now)
                break
            late.append(item)
        for item in late:
            del self._items[item]
        for item in late:
            self._expired(item)
