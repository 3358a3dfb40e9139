"""What comes into the queue: stored together, and then delivered from memory, or left for later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.domain import Checked, Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.schedule import taken_over
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.batch import Batch
from tubepost_dispatcher.queue.entries import entry_of, fresh_entry
from tubepost_dispatcher.queue.feeder import Feeder
from tubepost_dispatcher.queue.item import NO_KEY, Item, ItemKeeper, Putting
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.patience import Patience
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import CLOSED, Entry, Failure, FailureKind, Kept, Store

_LOG = logging.getLogger("tubepost.queue")

_FAULT: Final = Failure(FailureKind.FAILED, "internal error, see the log")


class Keeper(ItemKeeper, Protocol):
    """The queue, as what comes into it sees it."""

    def deliver(
        self, item: Item, notification: Notification, domain: Domain, checked: Checked | None, now: float
    ) -> None:
        """It is durable: deliver it. `now` in monotonic seconds."""


class Intake:
    """Lives on one event loop; every method is called on it.

    Args:
        own: the partition that takes what comes.
        feeder: knows the lanes, and whether there is room in memory.
        patience: how long each domain is tried.
        keeper: the queue.
        reports: what senders are told, and when.
        journal: told what is put off.
        loop: schedules.
        clock: monotonic seconds.
        wall: unix seconds.
        chance: random numbers from 0.0 to 1.0, for jitter.
    """

    def __init__(
        self,
        own: Slot,
        feeder: Feeder,
        patience: Patience,
        keeper: Keeper,
        reports: Reports,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        wall: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._own = own
        self._feeder = feeder
        self._patience = patience
        self._keeper = keeper
        self._reports = reports
        self._journal = journal
        self._loop = loop
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._batch: Batch | None = None
        """What came in this turn of the loop."""
        self.abandoned: set[int] = set()
        """Keys of what became durable when nobody waited for it any more; not to be delivered."""
        self.closed = False
        """Nothing more is taken, and nothing more is delivered."""

    def close(self) -> None:
        """Take nothing more; what came in this turn is in the store's hands."""
        self.closed = True
        self._store_batch()

    def put(
        self,
        items: Sequence[tuple[Notification, Domain]],
        done: Callable[[Failure | None], None],
        checked: Sequence[Checked | None] = (),
    ) -> Putting:
        """Store notifications, all or none, and deliver them.

        Args:
            items: each with the domain in force for it.
            done: told None when they are durable, before any of them is sent, or why none of them was stored;
                never from inside this call.
            checked: what `Domain.check` has found of each, where that was asked.
        """
        if self.closed:
            return self._turned_away(done)
        own, now, late = self._own, self._wall(), False
        fresh: list[Item] = []
        entries: list[Entry] = []
        for number, (notification, domain) in enumerate(items):
            expires = self._patience.of(domain)[0].expires(notification)
            if domain.bounces is not None and domain.bounces.delay_notices:
                expires = self._reports.tell_before(notification, domain, expires)
            lane = self._feeder.lane(own, notification)
            waiting = notification, domain, checked[number] if checked else None
            fresh.append(Item(self._keeper, lane, NO_KEY, expires, fresh=True, waiting=waiting))
            entries.append(fresh_entry(notification, lane, now, expires))
            late |= expires <= now  # it is not sent, and ends when it is read back
        putting = Putting(fresh, done)
        if late or not self._feeder.reserve(fresh):
            own.store.put(entries, partial(self._stored_only, putting, now), take=False)
            return putting
        if self._batch is None:
            self._batch = Batch()
            self._loop.call_soon(self._store_batch)
        if self._batch.add(putting, entries):
            self._store_batch()
        return putting

    def _store_batch(self) -> None:
        """Hand what came in this turn to the store, together."""
        batch, self._batch = self._batch, None
        if batch is not None:
            try:
                self._own.store.put(batch.entries, partial(self._stored, batch))
            except Exception:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                _LOG.exception("queue: internal error")
                self._stored(batch, _FAULT)

    def take_over(
        self, delivery: Delivery, outcome: Outcome, done: Callable[[Failure | None], None]
    ) -> Putting | None:
        """Store a notification that was tried while its sender waited; the schedule begins here.

        Args:
            delivery: it has ended, and nobody but its owner was told.
            outcome: of its last attempt, or why there was none.
            done: as with `put`.

        Returns:
            None where the schedule has no further attempt for it: nothing is stored, `done` is not called.
        """
        if self.closed:
            return self._turned_away(done)
        notification, domain = delivery.notification, delivery.domain
        # All those attempts are the first one of the schedule.
        notification.awaited_attempts = max(0, notification.attempt - 1)
        schedule, policy = self._patience.of(domain)
        expires = schedule.expires(notification)
        due = taken_over(policy, outcome, self._clock(), self._wall(), expires, self._chance())
        if due is None:
            return None
        expires = self._reports.tell_before(notification, domain, expires)
        lane = self._feeder.lane(self._own, notification)
        entry = entry_of(
            notification, lane, due=due, expires=expires, reason=outcome.reason, route=delivery.route
        )

        def stored(failure: Failure | None) -> None:
            if failure is None:
                self._journal.deferred(notification, outcome, due, entry.route)
            done(failure)

        putting = Putting([Item(self._keeper, lane, NO_KEY, expires, fresh=None)], stored)
        self._own.store.put([entry], partial(self._stored_only, putting, due), take=False)
        return putting

    def _turned_away(self, done: Callable[[Failure | None], None]) -> Putting:
        self._loop.call_soon(done, CLOSED)
        return Putting((), done)

    def _stored(self, batch: Batch, answer: Sequence[int] | Failure) -> None:
        """A batch, which is in memory, is durable, or it is not."""
        failure = answer if isinstance(answer, Failure) else None
        keys = iter(() if isinstance(answer, Failure) else answer)
        now = self._clock()
        for putting in batch.puttings:
            try:
                if not putting.abandoned:
                    putting.done(failure)
            except Exception:  # noqa: BLE001 - one caller's fault must not keep the others from hearing
                _LOG.exception("queue: a callback failed")
            for item in putting.items:
                if failure is not None:
                    self._feeder.gone(item.lane, fresh=True)
                    continue
                item.key = next(keys)
                if putting.abandoned:
                    self._own.store.ended(item.key)
                elif self.closed:
                    self._own.store.release((item.key,))
                else:
                    waiting, item.waiting = item.waiting, None
                    assert waiting is not None
                    self._keeper.deliver(item, *waiting, now)
                    continue
                self._feeder.gone(item.lane, fresh=True)

    def _stored_only(self, putting: Putting, due: float, answer: Sequence[int] | Failure) -> None:
        """The same of what is due then, and is not in memory."""
        store = self._own.store
        try:
            putting.tell(answer if isinstance(answer, Failure) else None)
        finally:
            if isinstance(answer, Failure):
                pass
            elif putting.abandoned:
                # Some may have been read in between: the queue meets them then.
                self.abandoned.update(answer)
                store.take(answer, self._end_abandoned)
            elif not self.closed:
                for item in putting.items:
                    self._feeder.stored(item.lane, due)

    def _end_abandoned(self, answer: Sequence[Kept] | Failure) -> None:
        for one in () if isinstance(answer, Failure) else answer:
            self.drop_abandoned(self._own.store, one.key)

    def drop_abandoned(self, store: Store, key: int) -> None:
        """Remove a taken entry that nobody waited for."""
        self.abandoned.discard(key)
        store.ended(key)
