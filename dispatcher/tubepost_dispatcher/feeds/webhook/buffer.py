"""Events that wait to be sent, bounded by number and size: the oldest give way. Pure.

Events have serial numbers, from 0 in the order in which they came. `floor` is what a log of them on disk goes
by: everything below it is done with, one way or the other.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Waiting(NamedTuple):
    """One event."""

    serial: int
    since: float
    line: bytes


class Buffer:
    """First in, first out; what is being sent is out of reach, and counts.

    Args:
        most_events: how many may wait.
        most_bytes: and how many bytes of them. A single event that is larger is taken all the same.
    """

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self.most_events = most_events
        self.most_bytes = most_bytes
        self.size = 0
        """Bytes of all events."""
        self._waiting: deque[Waiting] = deque()
        self._sending: list[Waiting] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sending)

    @property
    def floor(self) -> int:
        """The lowest serial number of an event that is still here; the next one's where none is."""
        if self._sending:
            return self._sending[0].serial
        return self._waiting[0].serial if self._waiting else self._next

    @property
    def oldest(self) -> float | None:
        """Since when the oldest event waits, None where none does."""
        first = self._sending or self._waiting
        return first[0].since if first else None

    @property
    def room(self) -> int:
        """Bytes that can be added before anything gives way."""
        return self.most_bytes - self.size if len(self) < self.most_events else 0

    def add(self, line: bytes, now: float) -> int:
        """Add an event; returns how many older ones gave way to it."""
        self._waiting.append(Waiting(self._next, now, line))
        self._next += 1
        self.size += len(line)
        if self.size <= self.most_bytes and len(self) <= self.most_events:
            return 0
        return self.shrink()

    def shrink(self) -> int:
        """Drop the oldest events that are not being sent until the bounds are met; returns how many.

        The latest one stays, alone if it must.
        """
        dropped = 0
        while len(self._waiting) > 1 and (self.size > self.most_bytes or len(self) > self.most_events):
            self.size -= len(self._waiting.popleft().line)
            dropped += 1
        return dropped

    def take(self, most_events: int, most_bytes: int) -> list[bytes]:
        """Take the oldest events for sending, at least one; `done` or `give_back` follows."""
        assert not self._sending
        size = 0
        while self._waiting and len(self._sending) < most_events:
            size += len(self._waiting[0].line)
            if size > most_bytes and self._sending:
                break
            self._sending.append(self._waiting.popleft())
        return [one.line for one in self._sending]

    def done(self) -> None:
        """What was taken is done with."""
        for one in self._sending:
            self.size -= len(one.line)
        self._sending.clear()

    def give_back(self) -> int:
        """What was taken waits again, before all others; returns how many gave way meanwhile."""
        self._waiting.extendleft(reversed(self._sending))
        self._sending.clear()
        return self.shrink()
