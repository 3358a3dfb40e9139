"""A partition as it is read: what is due, what there is, and what of it is not as it was written."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tubepost_dispatcher.store.bundled import Bundled
from tubepost_dispatcher.store.database import AT_LENGTH, Database
from tubepost_dispatcher.store.port import Count, Failure, Figures, Filter, Kept, LaneHead, Page, Tally
from tubepost_dispatcher.store.sweep import Sweep
from tubepost_dispatcher.store.taken import Taken
from tubepost_dispatcher.store.trouble import Trouble

_LOG = logging.getLogger("tubepost.store")

T = TypeVar("T")


class Reading(ABC):
    """The part of a partition that reads. Synchronous; for one thread.

    Args:
        path: of its directory, for the log.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._database: Database | None = None
        self._taken = Taken()
        self._sweep = Sweep()
        self._bundled = Bundled()
        self.figures = Figures()

    @abstractmethod
    def open(self) -> Failure | None:
        """Open it, unless it is open; why it cannot be."""

    @abstractmethod
    def _handle(self, trouble: Trouble) -> None:
        """Deal with what the disk has reported."""

    def due(self, now: float, limit: int, lane: int = 0) -> Sequence[Kept] | Failure:
        """See `Store.due`."""
        return self.reading(
            lambda database: self._read(database, self._taken.due(database, now, limit, lane))
        )

    def next_due(self, lane: int = 0) -> float | Failure | None:
        """See `Store.next_due`."""
        return self.reading(lambda database: self._taken.next_due(database, lane))

    def expired(self, now: float, limit: int) -> Sequence[Kept] | Failure:
        """See `Store.expired`."""
        return self.reading(
            lambda database: self._read(database, self._sweep.step(database, self._taken, now, limit))
        )

    def page(self, which: Filter, after: int | None, limit: int, patience: float = 0.0) -> Page | Failure:
        """See `Store.page`."""
        until, stretches = self._clock() + patience, AT_LENGTH if patience else 1

        def read(database: Database) -> Page:
            kept: list[Kept] = []
            place = after
            while True:
                left = limit - len(kept)
                page, bad = database.page(which, place, left, stretches)
                self._set_aside(database, bad)
                page = self._bundled.page(which, place, left, page)
                kept += page.kept
                place = page.following
                if place is None or len(kept) >= limit or self._clock() >= until:
                    return Page(tuple(kept), place)

        return self.reading(read)

    def tally(self, which: Filter, now: float, after: int | None, patience: float = 0.0) -> Tally | Failure:
        """See `Store.tally`."""
        until, stretches = self._clock() + patience, AT_LENGTH if patience else 1

        def read(database: Database) -> Tally:
            counts: list[Count] = []
            looked_at, place = 0, after
            while True:
                rows = database.tally(which, now, place, stretches)
                step = self._bundled.tally(which, now, place, rows)
                counts += step.counts
                looked_at += step.looked_at
                place = step.following
                if place is None or self._clock() >= until:
                    return Tally(tuple(counts), looked_at, place)

        return self.reading(read)

    def lanes(self, after: int | None, limit: int) -> Sequence[LaneHead] | Failure:
        """See `Store.lanes`."""
        return self.reading(lambda database: database.lanes(after, limit))

    def take(self, keys: Sequence[int]) -> Sequence[Kept] | Failure:
        """See `Store.take`."""
        wanted = [key for key in keys if key not in self._taken]
        return self.reading(lambda database: self._read(database, wanted))

    def reading(self, read: Callable[[Database], T]) -> T | Failure:
        """What `read` reads; a failure is dealt with."""
        failure = self.open()
        if failure is not None:
            return failure
        assert self._database is not None
        try:
            return read(self._database)
        except Trouble as trouble:
            self._taken.look_again()
            self._handle(trouble)
            return trouble.failure

    def _read(self, database: Database, keys: Sequence[int]) -> list[Kept]:
        good, bad = database.read(keys)
        self._set_aside(database, bad)
        self._taken.add(one.key for one in good)
        return good

    def _set_aside(self, database: Database, bad: Sequence[int]) -> None:
        if bad:
            _LOG.error("queue %s: %d damaged entries set aside: %s", self._path, len(bad), bad[:10])
            database.set_aside(bad)
            damaged = self.figures.damaged + len(bad)  # those that can only be reached from one side too
            self.figures = self.figures._replace(damaged=damaged)
            self._count(database)

    def _count(self, database: Database) -> None:
        self.figures = self.figures._replace(entries=database.entries + len(self._bundled))
