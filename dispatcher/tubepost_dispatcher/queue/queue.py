"""The queue of one worker: safe first, then delivered, then forgotten.

What is put is stored; once it is durable, it is delivered from memory. What fails for now goes back into the
store with the time of its next attempt, and is read back when that has come. Memory is bounded: at most
`MOST_ACTIVE` notifications are with delivery, the others wait in the store. Everything runs in callbacks on
the event loop; no task and no future per notification, and nothing waits for the disk.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tubepost_api.config import DeliveryMode
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Checked, Domain, DomainsInForce
from tubepost_dispatcher.delivery.failover import blames_route
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.schedule import due_again
from tubepost_dispatcher.follow_up import is_mail
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.queue.endings import Endings
from tubepost_dispatcher.queue.entries import entry_of, expired_outcome, held_back, read_entry
from tubepost_dispatcher.queue.feeder import Feeder
from tubepost_dispatcher.queue.intake import Intake
from tubepost_dispatcher.queue.item import Item
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.queue.mails import Mails, MailSender, NoRelay
from tubepost_dispatcher.queue.partitions import Partitions
from tubepost_dispatcher.queue.patience import Patience
from tubepost_dispatcher.queue.slot import Slot, store_of
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.store.port import CLOSED, Failure, FailureKind, Kept, Store

_OPENING: Final = Failure(FailureKind.LOCKED, "the queue is being opened")
_REFUSED: Final = permanent_outcome("DomainRefused", "its domain takes no notifications any more")


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
        reports: what senders are told; by default nothing.
        sender: hands mails to the relay; by default there is none.
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
        reports: Reports | None = None,
        sender: MailSender | None = None,
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
        self._patience = Patience()
        self._closed = False
        self._idle: asyncio.Event | None = None
        self.slots: dict[int, Slot] = {}
        """The partitions by number, the own one first."""
        sender = sender or NoRelay()
        self._reports = reports or Reports()
        self._feeder = Feeder(self.slots, self, domains, sender, self._loop, clock, wall)
        self.describe = self._feeder.describe
        self._mails = Mails(
            self._feeder, sender, domains, self._patience, self._journal, metrics, self._settled,
            clock, wall, chance,
        )  # fmt: skip
        self.endings = Endings(
            self, deliverer, domains, self._patience, self._feeder, self._mails, self._reports, clock, wall
        )
        self.expire = self.endings.expire
        self.drop = self.endings.drop
        self._partitions = Partitions(
            self.slots,
            open_store or partial(store_of, directory, loop=self._loop),
            self._feeder.look_again,
            lambda slot: self.recall(slot, list(slot.active)),
            self._loop,
        )
        self._own = self._partitions.open(slot)
        self._intake = Intake(
            self._own, self._feeder, self._patience, self, self._reports, self._journal,
            self._loop, clock, wall, chance,
        )  # fmt: skip
        self.put = self._intake.put
        self.take_over = self._intake.take_over
        self.adopt(adopted)

    # -- what acceptance asks -------------------------------------------------------------------------

    @property
    def failure(self) -> Failure | None:
        """Why nothing can be put at present, as far as is known; None: it can."""
        if self._closed:
            return CLOSED
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
        """Notifications in memory."""
        return self._feeder.active

    @property
    def domains(self) -> frozenset[str]:
        """Recipients' domains that are in it, as far as is known."""
        return self._feeder.domains

    # -- what the worker calls ------------------------------------------------------------------------

    def swap(self, domains: DomainsInForce) -> None:
        """Put another configuration in force; what delivery has goes on, and is repeated with the new one."""
        self._domains = domains
        self._patience.clear()
        self._mails.swap(domains)
        self.endings.swap(domains)
        self._feeder.swap(domains)

    def adopt(self, slots: Sequence[int]) -> None:
        """Empty the partitions of these slots too, and of no others beside the own one."""
        self._partitions.keep({self._own.number, *slots})

    async def drain(self, grace: float) -> int:
        """Take nothing new, and wait for what delivery has, at most `grace` seconds.

        Returns:
            How many are left in the queue; the successor delivers them.
        """
        self._closed = self._intake.closed = True
        self._feeder.stop()
        if self._busy:
            self._idle = asyncio.Event()
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                for slot in self.slots.values():
                    self.recall(slot, list(slot.active))
        return self.queued

    @property
    def _busy(self) -> bool:
        return any(slot.active or slot.mailing for slot in self.slots.values())

    async def close(self) -> None:
        """Write what waits, and close the stores. What delivery still has is met again by the successor."""
        self._closed = True
        self._intake.close()
        self._feeder.stop()
        await self._partitions.close()

    def deliver(
        self, item: Item, notification: Notification, domain: Domain, checked: Checked | None, now: float
    ) -> None:
        """See `Keeper`."""
        policy = self._patience.of(domain)[1]
        delivery, outcome = self._deliverer.prepare(
            notification, domain, item, policy, now, math.inf, checked
        )
        item.slot.active[item.key] = delivery
        if outcome is None:
            self._deliverer.start(delivery)
        else:
            self._deliverer.settle(delivery, outcome)

    # -- out of the stores: what the feeder calls -----------------------------------------------------

    def take(self, lane: Lane, one: Kept) -> None:
        """See `Taker`."""
        if one.key in self._intake.abandoned and lane.slot is self._own:
            self._intake.drop_abandoned(lane.slot.store, one.key)
            self._feeder.gone(lane, fresh=False)
            return
        if is_mail(one.entry.body):
            self._mails.take(lane, one)
            return
        entry, notification = one.entry, read_entry(one)
        domain = None if notification is None else self._domains.find(notification.domain)
        if notification is None or domain is None or domain.options.mode is DeliveryMode.SUSPEND:
            # It was read, and the configuration is another one now; or nobody can read it.
            again = entry if notification is not None else held_back(entry)
            lane.slot.store.again(one.key, again)
            self._feeder.gone(lane, fresh=False)
            self._feeder.stored(lane, again.due)
        elif entry.expires <= self._wall():
            self._feeder.gone(lane, fresh=False)
            self.expire(lane, one)
        elif domain.options.mode is DeliveryMode.BLACKHOLE:
            self._discard(notification)
            lane.slot.store.ended(one.key)
            self._feeder.gone(lane, fresh=False)
        elif domain.options.mode is DeliveryMode.REFUSE:
            self._feeder.gone(lane, fresh=False)
            self.endings.end(lane, one.key, notification, domain, _REFUSED)
        else:
            item = Item(self, lane, one.key, entry.expires, fresh=False)
            if lane.slot.store.doubtful(one.key):
                route = entry.route or (domain.routes[0].name if domain.routes else "")
                self._metrics.possible_doubles.labels(route).inc()
            self.deliver(item, notification, domain, None, self._clock())

    def _discard(self, notification: Notification) -> None:
        self._metrics.blackholed.inc()
        self._journal.blackholed(notification)

    # -- out of delivery ------------------------------------------------------------------------------

    def item_ended(self, item: Item, delivery: Delivery, outcome: Outcome) -> None:
        """See `ItemKeeper`."""
        if outcome.reason == "InternalError":
            # A fault of ours must not lose it.
            wait = delivery.policy.wait(delivery.notification.attempt, self._chance())
            self.item_deferred(item, delivery, outcome, self._clock() + wait)
            return
        self._forget(item, delivery, outcome)
        self.endings.settle(item.slot, item.key, delivery, outcome)

    def item_deferred(self, item: Item, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """See `ItemKeeper`."""
        self._forget(item, delivery, outcome)
        now, notification = self._wall(), delivery.notification
        due: float | None = now
        if outcome.reason != "ShuttingDown":
            expires = notification.expires or item.expires
            due = due_again(outcome, at - self._clock(), now=now, expires=expires, chance=self._chance())
        if due is None:
            expired = expired_outcome(notification, outcome.reason)
            self.endings.end(item.lane, item.key, notification, delivery.domain, expired)
            return
        expires, reason = item.expires, outcome.reason
        moved = notification.rerouted
        lane = self._feeder.lane(item.slot, notification) if moved else item.lane
        entry = entry_of(notification, lane, due=due, expires=expires, reason=reason, route=delivery.route)
        if item.hold:
            entry = entry._replace(due=math.inf, hold=item.hold)
        item.slot.store.again(item.key, entry)
        self._journal.deferred(notification, outcome, due, entry.route)
        self._feeder.stored(lane, entry.due)

    def _forget(self, item: Item, delivery: Delivery, outcome: Outcome) -> None:
        slot, lane = item.slot, item.lane
        slot.active.pop(item.key, None)
        if item.fresh is not None:
            if outcome.kind is not OutcomeKind.DELIVERED and blames_route(outcome, self._clock()):
                self._feeder.failed(lane, delivery.started)
            elif (window := lane.group.window).limits:
                window.succeeded()
            self._feeder.gone(lane, fresh=item.fresh)
        self._settled(slot)

    def _settled(self, slot: Slot) -> None:
        """Something of a partition is not in memory any more."""
        if slot.leaving:
            self._partitions.settle(slot)
        if self._idle is not None and not self._busy:
            self._idle.set()

    def recall(self, slot: Slot, keys: Collection[int], *, late: bool = False) -> None:
        """Give back to the store what delivery has of these and has not sent yet; nobody is told."""
        back = [key for key in keys if key in slot.active and self._deliverer.recall(slot.active[key])]
        for key in back:
            item = (delivery := slot.active.pop(key)).owner
            assert isinstance(item, Item)
            if late:
                self._feeder.failed(item.lane, delivery.started)
            if item.fresh is not None:
                self._feeder.gone(item.lane, fresh=item.fresh)
        slot.store.release(back)

    def feed_soon(self) -> None:
        """Look for what is due: there may be more in the stores than was known."""
        self._feeder.look_again()
