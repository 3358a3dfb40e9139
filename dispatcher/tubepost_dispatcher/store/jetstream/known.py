"""What an owner knows of the entries in the stream that it has not in memory: when they are due. Pure.

Only those that it wrote itself. Of what others left it hears when that is due, and anyone's.
"""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

MOST: Final = 100_000
"""Entries, some 40 MB; those beyond are found when they have become anyone's."""


class Waiting(NamedTuple):
    """One entry."""

    due: float
    """Unix seconds."""
    key: int
    seq: int
    """Of its message; 0: it is in a lease of ours."""
    fires: float
    """Server time, unix seconds: then its message becomes anyone's."""
    lane: int = 0


class Known:
    """By lane, in the order of due times. What is not so any more is passed over when its turn comes."""

    def __init__(self) -> None:
        self._lanes: dict[int, list[Waiting]] = {}
        self._living: dict[int, Waiting] = {}
        self._names: dict[int, int | dict[int, int]] = {}
        """By message: the key of its only entry, which has the number 0, or the keys by number."""
        self._domains: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._living)

    @property
    def messages(self) -> int:
        """In how many messages those are that are in no lease."""
        return len(self._names)

    @property
    def full(self) -> bool:
        """Whether no more is remembered."""
        return len(self._living) >= MOST

    def add(self, lane: int, domain: str, one: Waiting, number: int = 0) -> None:
        """This one waits; `number` in its message."""
        one = one._replace(lane=lane)
        self._living[one.key] = one
        self._domains[lane] = domain
        heapq.heappush(self._lanes.setdefault(lane, []), one)
        if one.seq:
            names = self._names.get(one.seq)
            if names is None and number == 0:
                self._names[one.seq] = one.key
            else:
                self._names[one.seq] = {**_by_number(names), number: one.key}

    def key(self, seq: int, number: int) -> int | None:
        """By what key an entry of a message was known before it was written anew; None: by none."""
        return _by_number(self._names.get(seq)).get(number)

    def seq(self, key: int) -> int | None:
        """In what message it is; None: it is not known."""
        one = self._living.get(key)
        return None if one is None else one.seq

    def drop(self, key: int) -> None:
        """It does not wait any more."""
        one = self._living.pop(key, None)
        if one is not None and one.seq in self._names:
            names = {place: name for place, name in _by_number(self._names[one.seq]).items() if name != key}
            if names:
                self._names[one.seq] = names
            else:
                del self._names[one.seq]

    def forget(self, seq: int) -> None:
        """A message is gone, or anyone's."""
        for key in _by_number(self._names.pop(seq, None)).values():
            one = self._living.get(key)
            if one is not None and one.seq == seq:
                del self._living[key]

    def first(self, lane: int) -> Waiting | None:
        """The one of a lane that is due first."""
        heap = self._lanes.get(lane)
        if heap is None:
            return None
        while heap:
            if self._living.get(heap[0].key) == heap[0]:
                return heap[0]
            heapq.heappop(heap)
        del self._lanes[lane]
        self._domains.pop(lane, None)
        return None

    def pop(self, lane: int, now: float) -> Waiting | None:
        """The same, if it is due; the caller takes it, or adds it again. Its message's name stays."""
        one = self.first(lane)
        if one is None or one.due > now:
            return None
        heapq.heappop(self._lanes[lane])
        self._living.pop(one.key)
        return one

    def lanes(self) -> list[tuple[int, float, str]]:
        """Lanes, when the first of each is due, and its domain."""
        heads = []
        for lane in sorted(self._lanes):
            one = self.first(lane)
            if one is not None:
                heads.append((lane, one.due, self._domains.get(lane, "")))
        return heads


def _by_number(names: int | dict[int, int] | None) -> dict[int, int]:
    if isinstance(names, int):
        return {0: names}
    return names or {}
