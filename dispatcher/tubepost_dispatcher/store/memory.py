"""A store that forgets everything with its process: for tests, and to try things out on a laptop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from tubepost_dispatcher.store.port import (
    Done,
    Entry,
    Failure,
    FailureKind,
    Figures,
    Filter,
    Kept,
    LaneHead,
    Page,
    Tally,
    counted,
    matches,
)

_CLOSED = Failure(FailureKind.CLOSED, "the store is closed")


class MemoryStore:
    """Implements `Store` in a dictionary. "Durable" is as long as this object lives.

    Args:
        loop: calls back; the running loop by default.
        most: entries that it takes before it is full.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, most: int = 1_000_000) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._most = most
        self._kept: dict[int, Entry] = {}
        self._taken: set[int] = set()
        self._due: dict[int, list[tuple[float, int]]] = {}
        """A heap for each lane; what is not so any more is passed over when its turn comes."""
        self._expires: list[tuple[float, int]] = []
        """Likewise, of all lanes."""
        self._keys = itertools.count(1)
        self._closed = False
        self._size = 0
        self._commits = 0

    @property
    def figures(self) -> Figures:
        """The latest figures; the size is that of the bodies."""
        failure = _CLOSED if self._closed else None
        return Figures(self._size, 0, len(self._kept), self._commits, failure=failure)

    @property
    def shared(self) -> bool:
        """One process has it."""
        return False

    def doubtful(self, key: int) -> bool:
        """Nobody else had it."""
        del key
        return False

    def start(self, done: Done) -> None:
        """Nothing to open."""
        self._loop.call_soon(done, None)

    def put(
        self, entries: Sequence[Entry], done: Callable[[Sequence[int] | Failure], None], *, take: bool = True
    ) -> None:
        """See `Store.put`."""
        keys = [next(self._keys) for _ in entries]
        if self._closed:
            self._loop.call_soon(done, _CLOSED)
        elif len(self._kept) + len(entries) > self._most:
            full = Failure(FailureKind.FULL, f"the store has {len(self._kept)} of {self._most} entries")
            self._loop.call_soon(done, full)
        else:
            for key, one in zip(keys, entries, strict=True):
                self._kept[key] = one
                heapq.heappush(self._expires, (one.expires, key))
            self._size += sum(len(one.body) for one in entries)
            self._commits += 1
            self._taken.update(keys)
            if not take:
                self.release(keys)
            self._loop.call_soon(done, keys)

    def ended(self, key: int) -> None:
        """See `Store.ended`."""
        found = self._kept.pop(key, None)
        self._size -= len(found.body) if found else 0
        self._taken.discard(key)

    def again(self, key: int, entry: Entry) -> None:
        """See `Store.again`."""
        before = self._kept.get(key)
        self._size += len(entry.body) - (len(before.body) if before else 0)
        self._kept[key] = entry
        if before is None or before.expires != entry.expires:
            heapq.heappush(self._expires, (entry.expires, key))
        self._give_back(key, entry)

    def release(self, keys: Iterable[int]) -> None:
        """See `Store.release`."""
        for key in keys:
            if key in self._taken:
                self._give_back(key, self._kept[key])

    def due(
        self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None], *, lane: int = 0
    ) -> None:
        """See `Store.due`."""
        keys: list[int] = []
        while len(keys) < limit and (first := self._first(lane)) is not None and first[0] <= now:
            keys.append(heapq.heappop(self._due[lane])[1])
            self._taken.add(keys[-1])
        self._hand_out(keys, done)

    def next_due(self, done: Callable[[float | Failure | None], None], *, lane: int = 0) -> None:
        """See `Store.next_due`."""
        first = self._first(lane)
        found = None if first is None or first[0] == math.inf else first[0]
        self._loop.call_soon(done, _CLOSED if self._closed else found)

    def lanes(
        self, after: int | None, limit: int, done: Callable[[Sequence[LaneHead] | Failure], None]
    ) -> None:
        """See `Store.lanes`; of lanes of which nothing is taken or due any more nothing is said."""
        heads: list[LaneHead] = []
        for lane in sorted(one for one in self._due if after is None or one > after):
            first = self._first(lane)
            if first is not None and len(heads) < limit:
                heads.append(LaneHead(lane, first[0], self._kept[first[1]].domain))
        self._loop.call_soon(done, _CLOSED if self._closed else heads)

    def expired(self, now: float, limit: int, done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.expired`; looks at what has expired only."""
        keys: list[int] = []
        later: list[tuple[float, int]] = []
        while len(keys) < limit and self._expires and self._expires[0][0] <= now:
            expires, key = heapq.heappop(self._expires)
            found = self._kept.get(key)
            if found is None or found.expires != expires:
                continue
            later.append((expires, key))
            if key not in self._taken and found.due < math.inf:
                keys.append(key)
                self._taken.add(key)
        for one in later:
            heapq.heappush(self._expires, one)
        self._hand_out(keys, done)

    def _first(self, lane: int) -> tuple[float, int] | None:
        """The entry of a lane that is due first and not taken, as it stands in the lane's heap."""
        heap = self._due.get(lane, [])
        while heap:
            due, key = heap[0]
            found = self._kept.get(key)
            if found is not None and key not in self._taken and found.due == due and found.lane == lane:
                return heap[0]
            heapq.heappop(heap)
        self._due.pop(lane, None)
        return None

    def _give_back(self, key: int, entry: Entry) -> None:
        self._taken.discard(key)
        heapq.heappush(self._due.setdefault(entry.lane, []), (entry.due, key))

    def page(
        self,
        which: Filter,
        after: int | None,
        limit: int,
        done: Callable[[Page | Failure], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """See `Store.page`; looks at everything."""
        del patience
        found = [
            Kept(key, one)
            for key, one in sorted(self._kept.items())
            if (after is None or key > after) and matches(which, one)
        ]
        following = found[limit - 1].key if len(found) > limit else None
        self._loop.call_soon(done, _CLOSED if self._closed else Page(tuple(found[:limit]), following))

    def tally(
        self,
        which: Filter,
        now: float,
        after: int | None,
        done: Callable[[Tally | Failure], None],
        *,
        patience: float = 0.0,
    ) -> None:
        """See `Store.tally`; everything in one step."""
        del patience
        found = [
            one for key, one in self._kept.items() if (after is None or key > after) and matches(which, one)
        ]
        counts = counted(found, now)
        self._loop.call_soon(done, _CLOSED if self._closed else Tally(counts, len(self._kept), None))

    def take(self, keys: Sequence[int], done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        """See `Store.take`."""
        self._hand_out([key for key in keys if key in self._kept and key not in self._taken], done)

    def close(self, done: Callable[[], None]) -> None:
        """See `Store.close`."""
        self._closed = True
        self._loop.call_soon(done)

    def _hand_out(self, keys: list[int], done: Callable[[Sequence[Kept] | Failure], None]) -> None:
        if self._closed:
            self._loop.call_soon(done, _CLOSED)
            return
        self._taken.update(keys)
        self._loop.call_soon(done, [Kept(key, self._kept[key]) for key in keys])
