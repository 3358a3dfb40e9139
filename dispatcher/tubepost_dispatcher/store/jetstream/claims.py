"""How what is in the stream comes into the memory of one owner, and of one only.

It writes a lease with the same entries, and removes the messages that had them: of several who do so, one is
told that a message was removed by it, and the others take its entries out of their leases.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tubepost_dispatcher.store.jetstream.api import Found, Removed, Written
from tubepost_dispatcher.store.jetstream.holding import SHIFT, Holding
from tubepost_dispatcher.store.jetstream.leases import Lease
from tubepost_dispatcher.store.jetstream.subjects import PUT
from tubepost_dispatcher.store.port import Entry, Kept

_LOG = logging.getLogger("tubepost.store")

TOGETHER: Final = 500
"""Entries of one lease."""
OVERDUE: Final = 60.0
"""Seconds after which what should have become anyone's is taken all the same."""
PATIENCE: Final = 8.0
"""Seconds for the writes of one claim."""


class Source:
    """A message and what is in it."""

    __slots__ = ("doubtful", "kept", "seq")

    def __init__(self, seq: int, kept: list[Kept], doubtful: set[int]) -> None:
        self.seq = seq
        self.kept = kept
        self.doubtful = doubtful
        """Keys of those that may have been delivered."""


class Claims:
    """Lives on one event loop; every method is called on it."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._unreadable: set[int] = set()
        """Messages that this release cannot read; they are left alone."""
        self._under_way: set[int] = set()
        """Messages that are being claimed."""
        self.damaged = 0

    def read(self, found: Found) -> Source | None:
        """What a message has in it, by the keys by which it is known; None: nobody can say."""
        holding = self._holding
        try:
            stored = holding.decode(found.data)
        except ValueError as error:
            if found.seq not in self._unreadable:
                self._unreadable.add(found.seq)
                self.damaged += 1
                _LOG.error("queue: message %d of the stream cannot be read, and stays: %s", found.seq, error)
            return None
        if stored.damaged and found.seq not in self._unreadable:
            self._unreadable.add(found.seq)
            self.damaged += stored.damaged
            _LOG.error("queue: message %d of the stream: %d damaged entries", found.seq, stored.damaged)
        place = holding.subjects.read(found.subject)
        unsure = self._fired_untold(found.scheduler) or (place is not None and place.state == "lease")
        kept = []
        doubtful = set()
        for number, entry in enumerate(stored.entries):
            key = holding.known.key(found.seq, number)
            key = found.seq << SHIFT | number if key is None else key
            kept.append(Kept(key, entry))
            if unsure or number in stored.doubtful:
                doubtful.add(key)
        return Source(found.seq, kept, doubtful)

    def _fired_untold(self, scheduler: str) -> bool:
        """Whether its owner may have delivered it, or told its sender that it did not take it."""
        place = self._holding.subjects.read(scheduler) if scheduler else None
        return place is not None and (place.state == "lease" or place.ident.startswith(PUT))

    def claimable(self, found: Found) -> bool:
        """Whether it is anyone's, or ours to take."""
        place = self._holding.subjects.read(found.subject)
        if place is None or found.seq in self._under_way:
            return False
        return place.state != "lease" or self.overdue(found)

    def overdue(self, found: Found) -> bool:
        """Whether it should have become anyone's long ago: its schedule was lost, or there was no room."""
        return 0.0 < found.fires < self._holding.server_time(-OVERDUE)

    def claim(self, messages: Sequence[Found], done: Callable[[list[Kept] | None], None]) -> None:
        """Take all that is in these; told what is ours then, all of it taken. None: nothing, NATS is away."""
        sources = [
            source
            for one in messages
            if self.claimable(one) and (source := self.read(one)) is not None and source.kept
        ]
        self._under_way.update(source.seq for source in sources)
        bundles: list[list[Source]] = []
        count = size = 0
        for source in sources:
            more = sum(len(one.entry.body) + 256 for one in source.kept)
            if not bundles or count + len(source.kept) > TOGETHER or size + more > self._holding.most_bytes:
                bundles.append([])
                count = size = 0
            bundles[-1].append(source)
            count += len(source.kept)
            size += more
        ours: list[Kept] = []
        left = len(bundles)
        failed = False

        def over(kept: list[Kept] | None) -> None:
            nonlocal left, failed
            left -= 1
            failed = failed or kept is None
            ours.extend(kept or ())
            if not left:
                done(None if failed and not ours else sorted(ours, key=_order))

        if not bundles:
            self._holding.loop.call_soon(done, [])
        for bundle in bundles:
            self._lease(bundle, over)

    def _lease(self, sources: list[Source], done: Callable[[list[Kept] | None], None]) -> None:
        holding = self._holding
        every = [one for source in sources for one in source.kept]
        doubtful = {key for source in sources for key in source.doubtful}

        def leased(lease: Lease | None, told: Written) -> None:
            del told
            if lease is None:
                self._under_way.difference_update(source.seq for source in sources)
                done(None)
                return
            for one in every:
                lease.add(one.key, one.entry, doubtful=one.key in doubtful)
                lease.moving.add(one.key)
            holding.leases.add(lease)
            self._remove(lease, sources, done)

        numbers = [number for number, one in enumerate(every) if one.key in doubtful]
        holding.write_lease([one.entry for one in every], numbers, leased, PATIENCE)

    def _remove(self, lease: Lease, sources: list[Source], done: Callable[[list[Kept]], None]) -> None:
        holding = self._holding
        ours: list[Kept] = []
        left = len(sources)
        mark = holding.begin()

        def removed(source: Source, told: Removed) -> None:
            nonlocal left
            left -= 1
            self._under_way.discard(source.seq)
            holding.known.forget(source.seq)
            for key, entry in source.kept:
                if told is Removed.NOT_THERE:
                    holding.drop(key)
                    continue
                if holding.leases.of(key) is not lease:
                    continue  # that took too long: it is anyone's again
                lease.moving.discard(key)
                if told is Removed.UNSURE:
                    lease.doubtful.add(key)
                ours.append(Kept(key, entry))
            if told is Removed.BY_US:
                holding.messages = max(0, holding.messages - 1)
            if not left:
                holding.end(mark)
                done(ours)

        for source in sources:
            holding.api.delete(source.seq, lambda told, source=source: removed(source, told), PATIENCE)  # type: ignore[misc]

    def give_back(self, kept: Sequence[Kept]) -> None:
        """These are ours, and nobody has asked for them."""
        self.give_back_keys([one.key for one in kept])

    def give_back_keys(self, keys: Iterable[int]) -> None:
        """The same of those of which only the keys are known."""
        holding = self._holding
        for key in holding.leases.free(keys, holding.loop.time()):
            lease = holding.leases.of(key)
            assert lease is not None
            holding.wait_for(key, lease.entries[key], 0, float("inf"))

    def take_free(self, key: int) -> Kept | None:
        """Take what is ours and nobody has; None: it is not."""
        holding = self._holding
        lease = holding.leases.of(key)
        if lease is None or key not in lease.free:
            return None
        del lease.free[key]
        holding.known.drop(key)
        return Kept(key, lease.entries[key])


def _order(one: Kept) -> tuple[float, int]:
    entry: Entry = one.entry
    return entry.due, one.key
