"""Looking through a stream from one message to the next: pages, tallies, and what has expired."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from tubepost_dispatcher.store.jetstream.api import Batch, Found
from tubepost_dispatcher.store.jetstream.claims import Claims
from tubepost_dispatcher.store.jetstream.holding import SHIFT, Holding
from tubepost_dispatcher.store.port import Count, Entry, Filter, Kept, Page, Tally, counted, matches

AT_ONCE: Final = 200
"""Messages that are read together: some milliseconds of the event loop."""
SWEPT: Final = 1_000
"""Messages that one look for what has expired passes over."""
_LAST: Final = (1 << SHIFT) - 1


class Seen:
    """An entry on the way through a stream."""

    __slots__ = ("found", "kept", "place")

    def __init__(self, place: int, kept: Kept, found: Found) -> None:
        self.place = place
        """Behind it the walk goes on: its message, and its number there."""
        self.kept = kept
        self.found = found


class Walk:
    """Lives on one event loop."""

    def __init__(self, holding: Holding, claims: Claims) -> None:
        self._holding = holding
        self._claims = claims
        self._swept = -1

    def _entries(self, found: Found) -> list[tuple[int, Kept]]:
        """What is in a message now, by number."""
        lease = self._holding.leases.at(found.seq)
        if lease is not None:
            return [(lease.numbers[key], Kept(key, entry)) for key, entry in lease.entries.items()]
        source = self._claims.read(found)
        return [] if source is None else list(enumerate(source.kept))

    def step(
        self, after: int, done: Callable[[list[Seen], int | None], None], failed: Callable[[], None]
    ) -> None:
        """Entries behind a place; told them, and the place behind all that was looked at: None at the end."""
        seq, number = (after + 1) >> SHIFT, (after + 1) & _LAST

        def read(batch: Batch) -> None:
            seen = [
                Seen(one.seq << SHIFT | place, kept, one)
                for one in batch.found
                for place, kept in self._entries(one)
                if one.seq > seq or place >= number
            ]
            more = batch.more and bool(batch.found)
            done(seen, batch.found[-1].seq << SHIFT | _LAST if more else None)

        self._holding.api.batch(seq, self._holding.subjects.everything, AT_ONCE, read, failed)

    def page(
        self,
        which: Filter,
        after: int | None,
        limit: int,
        patience: float,
        done: Callable[[Page | None], None],
    ) -> None:
        """At most `limit` of those that a filter names; None: NATS is away."""
        until = self._holding.loop.time() + patience
        kept: list[Kept] = []

        def seen(some: list[Seen], following: int | None) -> None:
            for place, one in enumerate(some):
                if matches(which, one.kept.entry):
                    kept.append(one.kept)
                    if len(kept) == limit:
                        last = place == len(some) - 1
                        done(Page(tuple(kept), following if last else one.place))
                        return
            if following is None or self._holding.loop.time() >= until:
                done(Page(tuple(kept), following))
            else:
                self.step(following, seen, lambda: done(None))

        self.step(-1 if after is None else after, seen, lambda: done(None))

    def tally(
        self,
        which: Filter,
        now: float,
        after: int | None,
        patience: float,
        done: Callable[[Tally | None], None],
    ) -> None:
        """Those that a filter names, counted; None: NATS is away."""
        until = self._holding.loop.time() + patience
        counts: list[Count] = []
        looked_at = 0

        def seen(some: list[Seen], following: int | None) -> None:
            nonlocal looked_at
            looked_at += len(some)
            counts.extend(counted(_named(some, which), now))
            if following is None or self._holding.loop.time() >= until:
                done(Tally(tuple(counts), looked_at, following))
            else:
                self.step(following, seen, lambda: done(None))

        self.step(-1 if after is None else after, seen, lambda: done(None))

    def expired(self, now: float, limit: int, done: Callable[[list[Kept] | None], None]) -> None:
        """Take some whose time is over, of those that are nobody's; goes on where the last call stopped."""
        taken: list[Kept] = []
        begun = self._swept
        looked_at = 0

        def seen(some: list[Seen], following: int | None) -> None:
            nonlocal looked_at
            looked_at += max(1, len(some))
            remote: dict[int, Found] = {}
            wanted: set[int] = set()
            place = following
            for one in some:
                if len(taken) + len(wanted) >= limit:
                    place = one.place - 1
                    break
                entry = one.kept.entry
                if entry.due == math.inf or not (entry.expires <= now or self._claims.overdue(one.found)):
                    continue
                if self._holding.leases.of(one.kept.key) is not None:
                    mine = self._claims.take_free(one.kept.key)
                    taken.extend(() if mine is None else (mine,))
                elif self._claims.claimable(one.found):
                    remote[one.found.seq] = one.found
                    if entry.expires <= now:
                        wanted.add(one.kept.key)
            self._swept = -1 if place is None else place
            if not remote:
                go_on(place)
                return

            def claimed(kept: list[Kept] | None) -> None:
                found = kept or []
                taken.extend(one for one in found if one.key in wanted)
                self._claims.give_back([one for one in found if one.key not in wanted])
                if kept is None:
                    done(taken or None)
                else:
                    go_on(place)

            self._claims.claim(list(remote.values()), claimed)

        def go_on(place: int | None) -> None:
            if place is None or len(taken) >= limit or looked_at >= SWEPT:
                done(taken)
            else:
                self.step(place, seen, lambda: done(taken))

        self.step(begun, seen, lambda: done(None))


def _named(some: Iterable[Seen], which: Filter) -> list[Entry]:
    return [one.kept.entry for one in some if matches(which, one.kept.entry)]
