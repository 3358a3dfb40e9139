"""Which entries their owner has in memory, and which are due beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Protocol

START: Final = (float("-inf"), -1)
"""The place before all entries of a lane."""
_STEP: Final = 100
MOST_PLACES: Final = 10_000
"""Lanes whose place is remembered; beyond, all are looked through from their beginning again."""


class DueIndex(Protocol):
    """Due times and keys of all entries of a lane, in order."""

    def due(self, after: tuple[float, int], now: float, limit: int, lane: int = 0) -> list[tuple[float, int]]:
        """At most `limit` of those behind `after` and not later than `now`."""


class Taken:
    """The taken keys, and for each lane a place in the order of due times up to which all entries are taken.

    The place makes reading what is due independent of how much is taken.
    """

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._places: dict[int, tuple[float, int]] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    def add(self, keys: Iterable[int]) -> None:
        """These are taken."""
        self._keys.update(keys)

    def drop(self, keys: Iterable[int]) -> None:
        """These have ended."""
        self._keys.difference_update(keys)

    def give_back(self, key: int, due: float, lane: int = 0) -> None:
        """This one is not taken, or not any more, and is due then."""
        self._keys.discard(key)
        place = self._places.get(lane)
        if place is not None and (due, key) <= place:
            self._places[lane] = (due, key - 1)

    def look_again(self) -> None:
        """There may be entries anywhere that are not taken."""
        self._places.clear()

    def due(self, index: DueIndex, now: float, limit: int, lane: int = 0) -> list[int]:
        """At most `limit` keys that are due by `now`, in order. The caller takes them or looks again."""
        keys: list[int] = []
        at = self._places.get(lane, START)
        while len(keys) < limit and (found := index.due(at, now, limit, lane)):
            for place in found:
                if place[1] not in self._keys:
                    if len(keys) == limit:
                        break
                    keys.append(place[1])
                at = place
        self._remember(lane, at)
        return keys

    def next_due(self, index: DueIndex, lane: int = 0) -> float | None:
        """The due time of the lane's first entry that is neither taken nor held, None without."""
        at = self._places.get(lane, START)
        next_due: float | None = None
        while next_due is None and (found := index.due(at, math.inf, _STEP, lane)):
            for place in found:
                if place[1] not in self._keys:
                    next_due = place[0]
                    break
                at = place
        self._remember(lane, at)
        # What is held is due at no time, and comes last.
        return None if next_due == math.inf else next_due

    def _remember(self, lane: int, place: tuple[float, int]) -> None:
        if len(self._places) >= MOST_PLACES and lane not in self._places:
            self._places.clear()
        self._places[lane] = place
