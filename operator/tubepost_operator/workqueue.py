"""The queue of objects to reconcile: without duplicates, debounced, with back-off per object.

Pure: times are arguments; the caller sleeps until `next_due`. It is bounded by the number of objects, since
each is in it at most once.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass

from tubepost_operator.observed import Key
from tubepost_runtime.backoff import Exponential


@dataclass(slots=True)
class _Entry:
    due: float
    first: float
    ticket: int


class WorkQueue:
    """Says which object to reconcile next.

    An object is due `quiet` seconds after it was last added, but at the latest `most` seconds after it was
    first added: a stream of changes must not starve it. While it is being reconciled it is not handed out a
    second time; if it is added meanwhile, it is due again afterwards.
    """

    def __init__(
        self, quiet: float = 0.5, most: float = 2.0, first_delay: float = 1.0, most_delay: float = 300.0
    ) -> None:
        self._quiet = quiet
        self._most = most
        self._delays = Exponential(first_delay, most_delay)
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._working: set[Key] = set()
        self._again: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def depth(self, now: float) -> int:
        """Number of objects that are due or soon will be; what is scheduled for later does not count."""
        return sum(entry.due <= now + self._most for entry in self._entries.values())

    @property
    def working(self) -> int:
        """Number of objects that are being reconciled."""
        return len(self._working)

    def add(self, key: Key, now: float) -> None:
        """Something about an object has changed."""
        if key in self._working:
            self._again[key] = min(self._again.get(key, now + self._quiet), now + self._quiet)
            return
        entry = self._entries.get(key)
        first = entry.first if entry is not None and entry.due <= entry.first + self._most else now
        self._set(key, min(now + self._quiet, first + self._most), first)

    def add_at(self, key: Key, due: float, now: float) -> None:
        """Enqueue an object for a certain time, unless it is due earlier."""
        if key in self._working:
            self._again[key] = min(self._again.get(key, due), due)
            return
        entry = self._entries.get(key)
        if entry is None or entry.due > due:
            self._set(key, max(due, now), now)

    def take(self, now: float) -> Key | None:
        """An object that is due, None when there is none. Give it back with `done` or `failed`."""
        while self._heap:
            due, ticket, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is None or entry.ticket != ticket:
                heapq.heappop(self._heap)
                continue
            if due > now:
                return None
            heapq.heappop(self._heap)
            del self._entries[key]
            self._working.add(key)
            return key
        return None

    def done(self, key: Key, now: float, again: float | None = None) -> None:
        """The object was reconciled; it is due again after `again` seconds, if not None."""
        self._failures.pop(key, None)
        self._return(key, now, None if again is None else now + again)

    def failed(self, key: Key, now: float, most: float = math.inf) -> float:
        """The reconcile failed: the object is due again after its back-off, which is returned (seconds).

        `most`: seconds that the back-off does not exceed, where nothing tells of the end of what is wrong.
        """
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(most, self._delays.delay(self._failures[key]))
        # A change meanwhile does not shorten the back-off: it may come from our own failing write.
        self._again.pop(key, None)
        self._return(key, now, now + delay)
        return delay

    def failures(self, key: Key) -> int:
        """How often in a row the reconcile of the object has failed."""
        return self._failures.get(key, 0)

    def next_due(self) -> float | None:
        """When the next object is due, None when there is none."""
        while self._heap:
            due, ticket, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.ticket == ticket:
                return due
            heapq.heappop(self._heap)
        return None

    def _return(self, key: Key, now: float, due: float | None) -> None:
        self._working.discard(key)
        changed = self._again.pop(key, None)
        times = [time for time in (due, changed) if time is not None]
        if times:
            self._set(key, max(min(times), now), now)

    def _set(self, key: Key, due: float, first: float) -> None:
        ticket = next(self._tickets)
        self._entries[key] = _Entry(due, first, ticket)
        heapq.heappush(self._heap, (due, ticket, key))
