"""Which entries their owner has in memory, and which are due beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Protocol

_START: Final = (float("-inf"), -1)
_STEP: Final = 100


class DueIndex(Protocol):
    """Due times and keys of all entries, in order."""

    def due(self, after: tuple[float, int], now: float, limit: int) -> list[tuple[float, int]]:
        """At most `limit` of those behind `after` and not later than `now`."""


class Taken:
    """The taken keys, and a place in the order of due times up to which all entries are taken.

    The place makes reading what is due independent of how much is taken.
    """

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._place = _START

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    def add(self, keys: Iterable[int]) -> None:
        """These are taken."""
        self._keys.update(keys)

    def drop(self, keys: Iterable[int]) -> None:
        """These have ended."""
        self._keys.difference_update(keys)

    def give_back(self, key: int, due: float) -> None:
        """This one is not taken, or not any more, and is due then."""
        self._keys.discard(key)
        if (due, key) <= self._place:
            self._place = (due, key - 1)

    def look_again(self) -> None:
        """There may be entries anywhere that are not taken."""
        self._place = _START

    def due(self, index: DueIndex, now: float, limit: int) -> list[int]:
        """At most `limit` keys that are due by `now`, in order. The caller takes them or looks again."""
        keys: list[int] = []
        while len(keys) < limit and (found := index.due(self._place, now, limit)):
            for place in found:
                if place[1] not in self._keys:
                    if len(keys) == limit:
                        break
                    keys.append(place[1])
                self._place = place
        return keys

    def next_due(self, index: DueIndex) -> float | None:
        """The due time of the first entry that is neither taken nor held, None without."""
        while found := index.due(self._place, float("inf"), _STEP):
            for place in found:
                if place[1] not in self._keys:
                    # What is held is due at no time, and comes last.
                    return place[0] if place[0] < math.inf else None
                self._place = place
        return None
