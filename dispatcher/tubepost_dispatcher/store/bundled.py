"""Which entries are in bundles on the disk, and what of them has ended."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from tubepost_dispatcher.store.bundle import unpack
from tubepost_dispatcher.store.port import Entry, Filter, Kept, Page, Tally, counted, matches

OLD: Final = 2.0
"""Seconds after which what is left of a bundle is written as rows: a few that wait keep no large one."""


class _Bundle(NamedTuple):
    keys: range
    """Of its entries, those that have ended included."""
    data: bytes
    since: float
    """Monotonic seconds."""


class Leaving(NamedTuple):
    """What a commit has to do with bundles when entries leave them."""

    keys: frozenset[int]
    """The entries that leave."""
    over: list[int]
    """First keys of the bundles in which nothing is left: they are removed."""
    gone: list[int]
    """Keys that have left the other bundles, now or before: they are remembered beside them."""


class Bundled:
    """Changed after a commit, never before it."""

    def __init__(self) -> None:
        self._living: set[int] = set()
        self._gone: set[int] = set()
        self._bundles: deque[_Bundle] = deque()

    def __len__(self) -> int:
        """Entries that are in a bundle and have not left it."""
        return len(self._living)

    def add(self, first: int, count: int, data: bytes, now: float) -> None:
        """A bundle was stored."""
        keys = range(first, first + count)
        self._bundles.append(_Bundle(keys, data, now))
        self._living.update(keys)

    def find(self, keys: Iterable[int]) -> dict[int, Entry]:
        """Those of these entries that are in a bundle."""
        wanted = self._living.intersection(keys)
        return self._entries(self._bundles, wanted) if wanted else {}

    def all(self) -> dict[int, Entry]:
        """All that are in a bundle."""
        return self._entries(self._bundles, self._living)

    def old(self, now: float) -> dict[int, Entry]:
        """Those that have been in a bundle for too long."""
        if not self._bundles or self._bundles[0].since > now - OLD:
            return {}
        return self._entries([one for one in self._bundles if one.since <= now - OLD], self._living)

    @staticmethod
    def _entries(bundles: Iterable[_Bundle], wanted: AbstractSet[int]) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        for keys, data, _ in bundles:
            if not wanted.isdisjoint(keys):
                good = unpack(keys.start, len(keys), data).good
                found.update((key, entry) for key, entry in good if key in wanted)
        return found

    def page(self, which: Filter, after: int | None, limit: int, rows: Page) -> Page:
        """A page of rows with what is in bundles."""
        found = [
            Kept(key, one) for key, one in self._between(after, rows.following).items() if matches(which, one)
        ]
        if not found:
            return rows
        kept = sorted([*rows.kept, *found], key=_key)
        if len(kept) <= limit:
            return Page(tuple(kept), rows.following)
        return Page(tuple(kept[:limit]), kept[limit - 1].key)

    def tally(self, which: Filter, now: float, after: int | None, rows: Tally) -> Tally:
        """A tally of rows with what is in bundles."""
        between = self._between(after, rows.following)
        counts = counted([one for one in between.values() if matches(which, one)], now)
        return Tally(rows.counts + counts, rows.looked_at + len(between), rows.following)

    def _between(self, after: int | None, following: int | None) -> dict[int, Entry]:
        least = -1 if after is None else after
        most = math.inf if following is None else following
        return self._entries(self._bundles, {key for key in self._living if least < key <= most})

    def leaving(self, keys: Collection[int]) -> Leaving | None:
        """What a commit has to do when these leave; None: nothing, none of them is in a bundle."""
        left = self._living.intersection(keys)
        if not left:
            return None
        over: list[int] = []
        out = self._gone | left
        for bundle in self._bundles:
            if out.issuperset(bundle.keys):
                over.append(bundle.keys.start)
                out.difference_update(bundle.keys)
        return Leaving(frozenset(left), over, sorted(out))

    def left(self, leaving: Leaving) -> None:
        """That commit was made."""
        self._living -= leaving.keys
        self._gone = set(leaving.gone)
        if leaving.over:
            over = set(leaving.over)
            self._bundles = deque(one for one in self._bundles if one.keys.start not in over)

    def lost(self) -> set[int]:
        """The file is opened anew, or replaced: forget it. The keys that may come back and must not."""
        gone = self._gone
        self._living, self._gone = set(), set()
        self._bundles.clear()
        return gone


def _key(one: Kept) -> int:
    return one.key
