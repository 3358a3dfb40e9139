"""The queue of one worker: safe first, then delivered, then forgotten.

What is put is stored; once it is durable, it is delivered from memory. What fails for now goes back into the
store with the time of its next attempt, and is read back when that has come. Memory is bounded: at most
`MOST_ACTIVE` notifications are with delivery, the others wait in the store. Everything runs in callbacks on
the event loop; no task and no future per notification, and nothing waits for the disk.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tubepost_api.config import DeliveryConfig, DeliveryMode
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain, DomainsInForce, Route
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.schedule import due_again
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification, decode
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.item import Item, Putting
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.partitions import Partitions
from tubepost_dispatcher.queue.patience import Patience
from tubepost_dispatcher.queue.slot import Slot, store_of
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.store.port import Entry, Failure, FailureKind, Kept, Store
from tubepost_dispatcher.store.port import entry as store_entry

_LOG = logging.getLogger("tubepost.queue")

MOST_ACTIVE: Final = 8_192
"""Notifications of one worker that delivery has at a time."""
BATCH: Final = 500
"""Entries that are read back at a time."""
LOOK_AGAIN: Final = 1.0
"""Seconds until a store that has failed is asked again."""
_NOWHERE: Final = Domain(DeliveryConfig(), ())
"""Stands for the domain of a notification that expires when its domain is not served any more."""
UNKNOWN_WAIT: Final = 300.0
"""Seconds until a notification is looked at again whose domain is not served, or not delivered to, now."""
_OPENING: Final = Failure(FailureKind.LOCKED, "the queue is being opened")
_CLOSED: Final = Failure(FailureKind.CLOSED, "the queue is closed")


class Queue:
    """Lives on one event loop; every method is called on it.

    Args:
        deliverer: delivers; it has the same domains.
        domains: those in force; `swap` replaces them.
        metrics: where to count.
        directory: of the partitions; None: the queue is in memory, and ends with the process.
        slot: this worker's own partition, which takes new notifications.
        journal: told what is put off and what is discarded.
        adopted: partitions of other slots to be emptied.
        loop: schedules; the running loop by default.
        clock: monotonic seconds.
        wall: unix seconds.
        chance: random numbers from 0.0 to 1.0, for jitter.
        open_store: makes the store of a slot, for tests.
    """

    def __init__(
        self,
        deliverer: Deliverer,
        domains: DomainsInForce,
        metrics: Metrics,
        *,
        directory: Path | None = None,
        slot: int = 0,
        journal: Journal | None = None,
        adopted: Sequence[int] = (),
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        open_store: Callable[[int], Store] | None = None,
    ) -> None:
        self._deliverer = deliverer
        self._domains = domains
        self._metrics = metrics
        self._journal = journal or Journal(None, loop, wall=wall)
        self._loop = loop or asyncio.get_running_loop()
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._open_store = open_store or partial(store_of, directory, loop=self._loop)
        self._patience = Patience()
        self._active = 0
        self._starved = False
        """More is due than there was room for."""
        self._closed = False
        self._idle: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._feeding: asyncio.Handle | None = None
        self._partitions = Partitions(
            self._open_store, self.feed_soon, lambda slot: self.recall(slot, list(slot.active)), self._loop
        )
        self.slots = self._partitions.slots
        """The partitions by number, the own one first."""
        self._own = self._partitions.open(slot)
        self.adopt(adopted)

    # -- what acceptance calls ------------------------------------------------------------------------

    def put(
        self, items: Sequence[tuple[Notification, Domain]], done: Callable[[Failure | None], None]
    ) -> Putting:
        """Store notifications, all or none, and deliver them.

        Args:
            items: each with the domain in force for it.
            done: told None when they are durable, before any of them is sent, or why none of them was stored;
                never from inside this call.
        """
        if self._closed:
            self._loop.call_soon(done, _CLOSED)
            return Putting((), (), done, self._stored)
        kept, entries = [], []
        now = self._wall()
        for item in items:
            notification, domain = item
            if domain.options.mode is DeliveryMode.BLACKHOLE:
                self._metrics.blackholed.inc()
                self._journal.blackholed(notification)
                continue
            expires = self._patience.of(domain)[0].expires(notification)
            kept.append(item)
            entries.append(_entry(notification, now, expires))
        putting = Putting(kept, entries, done, self._stored)
        self._own.store.put(entries, putting.answered)
        return putting

    @property
    def failure(self) -> Failure | None:
        """Why nothing can be put at present, as far as is known; None: it can."""
        if self._closed:
            return _CLOSED
        return self._own.store.figures.failure if self._own.opened else _OPENING

    @property
    def queued(self) -> int:
        """Notifications in all partitions, those that delivery has included, as of the last commits."""
        return sum(slot.store.figures.entries for slot in self.slots.values())

    @property
    def partitions(self) -> Mapping[int, Store]:
        """The stores by worker slot, adopted ones included."""
        return {number: slot.store for number, slot in self.slots.items()}

    @property
    def own(self) -> int:
        """The slot of this worker."""
        return self._own.number

    @property
    def active(self) -> int:
        """Notifications that delivery has."""
        return self._active

    # -- what the worker calls ------------------------------------------------------------------------

    def swap(self, domains: DomainsInForce) -> None:
        """Put another configuration in force; what delivery has goes on, and is repeated with the new one."""
        self._domains = domains
        self._patience.clear()
        self.feed_soon()

    def adopt(self, slots: Sequence[int]) -> None:
        """Empty the partitions of these slots too, and of no others beside the own one."""
        self._partitions.keep({self._own.number, *slots})

    async def drain(self, grace: float) -> int:
        """Take nothing new, and wait for what delivery has, at most `grace` seconds.

        Returns:
            How many are left in the queue; the successor delivers them.
        """
        self._closed = True
        self._stop_feeding()
        if self._active:
            self._idle = asyncio.Event()
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                for slot in self.slots.values():
                    self.recall(slot, list(slot.active))
        return self.queued

    async def close(self) -> None:
        """Write what waits, and close the stores. What delivery still has is met again by the successor."""
        self._closed = True
        self._stop_feeding()
        await self._partitions.close()

    # -- into delivery --------------------------------------------------------------------------------

    def _stored(self, putting: Putting, keys: Sequence[int]) -> None:
        """What was put is durable."""
        slot = self._own
        if putting.abandoned:
            for key in keys:
                slot.store.ended(key)
            return
        room = 0 if self._closed else max(0, MOST_ACTIVE - self._active)
        together = zip(keys[:room], putting.items, putting.entries, strict=False)
        for key, (notification, domain), entry in together:
            self._deliver(slot, key, notification, domain, entry.expires)
        if len(keys) > room:
            slot.store.release(keys[room:])
            self._starved = True

    def _deliver(
        self, slot: Slot, key: int, notification: Notification, domain: Domain, expires: float
    ) -> None:
        policy = self._patience.of(domain)[1]
        if domain.options.mode is DeliveryMode.SUSPEND:
            self._keep(slot, key, notification, expires, "Suspended")
            return
        item = Item(self, slot, key, expires)
        delivery, outcome = self._deliverer.prepare(
            notification, domain, item, policy, self._clock(), float("inf")
        )
        slot.active[key] = delivery
        self._active += 1
        if outcome is None:
            self._deliverer.start(delivery)
        else:
            self._deliverer.settle(delivery, outcome)

    def _keep(self, slot: Slot, key: int, notification: Notification, expires: float, reason: str) -> None:
        slot.store.again(key, _entry(notification, self._wall() + UNKNOWN_WAIT, expires, reason))

    # -- out of delivery ------------------------------------------------------------------------------

    def item_ended(self, item: Item, delivery: Delivery, outcome: Outcome) -> None:
        """See `ItemKeeper`."""
        if outcome.reason == "InternalError":
            # A fault of ours must not lose it.
            wait = delivery.policy.wait(delivery.notification.attempt, self._chance())
            self.item_deferred(item, delivery, outcome, self._clock() + wait)
            return
        self._forget(item)
        item.slot.store.ended(item.key)

    def item_deferred(self, item: Item, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """See `ItemKeeper`."""
        self._forget(item)
        now, notification = self._wall(), delivery.notification
        due: float | None = now
        if outcome.reason != "ShuttingDown":
            due = due_again(outcome, at - self._clock(), now=now, expires=item.expires, chance=self._chance())
        if due is None:
            self._expire(item.slot, item.key, notification, delivery.domain, item.expires, outcome.reason)
            return
        entry = _entry(notification, due, item.expires, outcome.reason, delivery.route)
        if item.hold:
            entry = entry._replace(due=math.inf, hold=item.hold)
        item.slot.store.again(item.key, entry)
        self._journal.deferred(notification, outcome, due, entry.route)
        self._feed_at(due)

    def _expire(
        self, slot: Slot, key: int, notification: Notification, domain: Domain, expires: float, reason: str
    ) -> None:
        why = f"after {notification.attempt} attempts, the last one: {reason}" if reason else "never tried"
        self._end(slot, key, notification, domain, expires, permanent_outcome("Expired", why))

    def _end(
        self, slot: Slot, key: int, what: Notification, domain: Domain, expires: float, outcome: Outcome
    ) -> None:
        self._active += 1
        item, now = Item(self, slot, key, expires), self._clock()
        delivery = Delivery(what, domain, item, self._patience.of(domain)[1], now, now)
        self._deliverer.end(delivery, outcome)

    def _forget(self, item: Item) -> None:
        item.slot.active.pop(item.key, None)
        self._partitions.settle(item.slot)
        self._active -= 1
        if self._starved:
            self._starved = False
            self.feed_soon()
        if not self._active and self._idle is not None:
            self._idle.set()

    # -- what operations call -------------------------------------------------------------------------

    def recall(self, slot: Slot, keys: Collection[int]) -> None:
        """Give back to the store what delivery has of these and has not sent yet; nobody is told."""
        back = [key for key in keys if key in slot.active and self._deliverer.recall(slot.active[key])]
        for key in back:
            del slot.active[key]
        self._active -= len(back)
        slot.store.release(back)

    def drop(self, slot: Slot, one: Kept, why: str) -> None:
        """End a taken entry that delivery does not have: an operator gives it up."""
        notification = _decoded(slot, one)
        if notification is None:
            slot.store.ended(one.key)
            return
        domain = self._domains.find(notification.domain) or _NOWHERE
        self._end(slot, one.key, notification, domain, one.entry.expires, permanent_outcome("Dropped", why))

    # -- out of the stores ----------------------------------------------------------------------------

    def feed_soon(self) -> None:
        """Look for what is due: there may be more than was known."""
        if self._feeding is None and not self._closed:
            self._feeding = self._loop.call_soon(self._feed)

    def _feed_at(self, due: float) -> None:
        at = self._clock() + max(0.0, due - self._wall())
        if self._closed or (self._timer is not None and self._timer.when() <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._feed)

    def _stop_feeding(self) -> None:
        for handle in (self._timer, self._feeding):
            if handle is not None:
                handle.cancel()

    def _feed(self) -> None:
        self._feeding = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        room = MOST_ACTIVE - self._active
        self._starved = room <= 0
        for slot in self.slots.values():
            if slot.opened and not slot.reading and room > 0 and not self._closed:
                slot.reading = True
                slot.store.due(self._wall(), min(room, BATCH), partial(self._fed, slot))

    def _fed(self, slot: Slot, answer: Sequence[Kept] | Failure) -> None:
        slot.reading = False
        if isinstance(answer, Failure):
            self._feed_at(self._wall() + LOOK_AGAIN)
            return
        if self._closed or slot.leaving:
            slot.store.release([one.key for one in answer])
            return
        for one in answer:
            self._hand_over(slot, one)
        if answer:
            self.feed_soon()
        else:
            slot.store.next_due(self._next_due)

    def _next_due(self, answer: float | Failure | None) -> None:
        if isinstance(answer, Failure):
            self._feed_at(self._wall() + LOOK_AGAIN)
        elif answer is not None:
            self._feed_at(answer)

    def _hand_over(self, slot: Slot, one: Kept) -> None:
        entry, notification = one.entry, _decoded(slot, one)
        if notification is None:
            slot.store.again(one.key, entry._replace(due=self._wall() + UNKNOWN_WAIT))
            return
        domain = self._domains.find(notification.domain)
        if entry.expires <= self._wall():
            self._expire(slot, one.key, notification, domain or _NOWHERE, entry.expires, entry.reason)
        elif domain is None:
            self._keep(slot, one.key, notification, entry.expires, "DomainGone")
        elif domain.options.mode is DeliveryMode.BLACKHOLE:
            self._metrics.blackholed.inc()
            self._journal.blackholed(notification)
            slot.store.ended(one.key)
        else:
            self._deliver(slot, one.key, notification, domain, entry.expires)


def _entry(
    notification: Notification, due: float, expires: float, reason: str = "", route: Route | None = None
) -> Entry:
    name = route.name if route is not None else ""
    return store_entry(notification, due=due, expires=expires, reason=reason, route=name)


def _decoded(slot: Slot, one: Kept) -> Notification | None:
    try:
        return decode(one.entry.body)
    except ValueError as error:
        _LOG.error("queue %02d: message %s cannot be read: %s", slot.number, one.entry.message_id, error)
        return None
