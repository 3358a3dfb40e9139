"""The limits of a pod whose workers are processes, by the memory that they share."""

from __future__ import annotations

from tubepost_api.config import Throttle
from tubepost_dispatcher.pod_limits.memory import RANGE_LOCKS, WAYS, Memory

_TRIES = 40
"""How often a lock is tried for in a row: some 60 us; whoever has it needs about 5."""
_COUNT_BITS = 24


class SharedLimits:
    """Implements `PodLimits` for one worker.

    A worker's row says how many places it holds. To take one it counts that place first and looks at the
    sum then, so that no two can take the last one. When the sum is above the limit, or near it, those who
    want one look one after the other, under the key's lock, and each goes back if the sum is too high: the
    last ones find that it is not. A worker that is stopped just there keeps nobody: without the lock one
    looks all the same, and in that case of two who want the last place none may get it.

    Args:
        memory: attached.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._void_below = memory.epoch << _COUNT_BITS
        self._held: dict[str, _Held] = {}

    def take(self, name: str, limit: int) -> bool:
        """Take a place, as `PodLimits.take` says."""
        held = self._held.get(name)
        if held is None:
            held = self._begin(name)
            if held is None:
                return False
        self._write(held, held.count + 1)
        if not limit:
            return True
        others = self._memory.look()
        # Each of the others may be about to take one: as long as there is room for that, no lock is needed.
        if held.count + self._of_others(held.key) + len(others) <= limit or self._settle(held, limit):
            return True
        self.give(name)
        return False

    def give(self, name: str) -> None:
        """Give a place back."""
        held = self._held.get(name)
        if held is None:
            return
        self._write(held, held.count - 1)
        if not held.count:
            del self._held[name]

    def taken(self, name: str) -> int:
        """How many places are taken."""
        self._memory.look()
        held = self._held.get(name)
        if held is not None:
            return held.count + self._of_others(held.key)
        return self._of_others(self._memory.key(name))

    def bucket(self, name: str, limit: Throttle) -> SharedBucket:
        """The pod's bucket for `name` and `limit`."""
        return SharedBucket(self._memory, name, limit)

    def _begin(self, name: str) -> _Held | None:
        """A cell of this row for a name that it holds nothing of; None when all it may have are in use."""
        counts, key = self._memory.counts, self._memory.key(name)
        first = counts.first(self._memory.row, key)
        for cell in range(first, first + WAYS):
            if not self._live(counts.raw(cell), self._memory.epoch):
                counts.assign(cell, key)
                held = self._held[name] = _Held(key, cell)
                return held
        return None

    def _write(self, held: _Held, count: int) -> None:
        held.count = count
        self._memory.counts.set(held.cell, self._void_below | count)

    @staticmethod
    def _live(value: int, epoch: int) -> int:
        return value & ((1 << _COUNT_BITS) - 1) if value >> _COUNT_BITS == epoch else 0

    def _of(self, row: int, key: int) -> int:
        counts = self._memory.counts
        cell = counts.find(row, key)
        return self._live(counts.value(cell, key), self._memory.epoch_of(row)) if cell >= 0 else 0

    def _of_others(self, key: int) -> int:
        return sum(self._of(row, key) for row in self._memory.others)

    def _settle(self, held: _Held, limit: int) -> bool:
        """Whether the place that was counted may be kept; one worker after the other, if at all possible."""
        memory, key = self._memory, held.key
        locked = any(memory.lock_key(key) for _ in range(_TRIES))
        try:
            if held.count + self._of_others(key) <= limit:
                return True
            # What a worker held that was killed is still in its row, unless it has a successor.
            dead = [row for row in memory.others if self._of(row, key) and memory.void_if_dead(row)]
            return bool(dead) and held.count + self._of_others(key) <= limit
        finally:
            if locked:
                memory.unlock_key(key)


class _Held:
    """What this worker holds under one name, and where its row says so."""

    __slots__ = ("cell", "count", "key")

    def __init__(self, key: int, cell: int) -> None:
        self.key = key
        self.cell = cell
        self.count = 0


_SECOND = 1_000_000_000
_WINDOW = 1 << 46
"""Bytes of locks for one bucket, a nanosecond each; after that many, 19 hours, they are used again."""
_WINDOWS = (1 << 61) // _WINDOW
_FORGOTTEN = 60 * _SECOND
"""For how long a bucket has been full when its cell may be another one's."""


class SharedBucket:
    """A bucket as `TokenBucket`, that the workers of a pod draw on together.

    Each reservation takes the time from its arrival until an interval later, and none that were made
    overlap. To make one, a worker locks that time, as bytes, sees that nobody has got as far meanwhile,
    says in its row how far it has got, and unlocks. The end of the last reservation is the highest figure of
    all rows. Whoever cannot have the lock looks again; if it stays like that, the other one has been stopped
    just there, and the time after it is taken: that one may then lose its turn, but no more leave than may.

    Args:
        memory: attached.
        name: what is throttled.
        limit: how much.
    """

    __slots__ = ("_cell", "_cells", "_interval", "_key", "_locks", "_memory", "_slack")

    def __init__(self, memory: Memory, name: str, limit: Throttle) -> None:
        self._memory = memory
        self._key = memory.key(f"{limit.messages}/{limit.seconds} {name}")
        self._interval = -(-round(limit.seconds * _SECOND) // limit.messages)
        self._slack = self._interval * (limit.messages - 1)
        self._locks = RANGE_LOCKS + self._key % _WINDOWS * _WINDOW
        self._cell = memory.buckets.find(memory.row, self._key)
        """In this worker's row, where an earlier worker may have left a figure; -1: none yet."""
        self._cells: dict[int, int] = {}
        """Where it was last found, by row."""

    def reserve(self, now: float, not_after: float) -> float:
        """Reserve one message, as `Bucket.reserve` says."""
        memory, interval = self._memory, self._interval
        earliest = present = int(now * _SECOND)
        for attempt in range(1, 5 * _TRIES):
            arrival = max(earliest, self._latest())
            turn = max(present, arrival - self._slack)
            if turn > not_after * _SECOND:
                return -1.0
            start, length = self._range(arrival)
            if memory.lock(start, length):
                try:
                    if self._latest() <= arrival:
                        return self._made(arrival + interval, now, turn if turn > present else 0)
                finally:
                    memory.unlock(start, length)
            elif attempt % _TRIES == 0:
                earliest = arrival + interval
        return -1.0

    def _made(self, end: int, now: float, turn: int) -> float:
        if not self._own_cell(end - self._interval):
            return -1.0  # more buckets than there is room for
        self._memory.buckets.set(self._cell, end)
        return turn / _SECOND if turn else now

    def _range(self, arrival: int) -> tuple[int, int]:
        """The bytes for the interval from `arrival` on; all of them where it goes past the last."""
        start = arrival % _WINDOW
        if start + self._interval > _WINDOW:
            return self._locks, _WINDOW
        return self._locks + start, self._interval

    def _latest(self) -> int:
        """The end of the last reservation, nanoseconds; 0 when there is none."""
        memory, latest = self._memory, 0
        if self._cell >= 0:
            latest = memory.buckets.value(self._cell, self._key)
        for row in memory.look():
            cell = self._cells.get(row, -1)
            value = memory.buckets.value(cell, self._key) if cell >= 0 else 0
            if not value:
                cell = memory.buckets.find(row, self._key)
                if cell < 0:
                    continue
                self._cells[row] = cell
                value = memory.buckets.value(cell, self._key)
            latest = max(latest, value)
        return latest

    def _own_cell(self, now: int) -> bool:
        """See that this worker's row has a cell for the bucket; False when all it may have are in use."""
        buckets, key = self._memory.buckets, self._key
        self._cell = buckets.find(self._memory.row, key)
        if self._cell >= 0:
            return True
        first = buckets.first(self._memory.row, key)
        for cell in range(first, first + WAYS):
            full_since = buckets.raw(cell)
            if not full_since or full_since < now - _FORGOTTEN:
                buckets.assign(cell, key)
                self._cell = cell
                return True
        return False
