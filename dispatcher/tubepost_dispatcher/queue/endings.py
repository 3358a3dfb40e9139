"""How notifications of the queue end: with nothing more, or with a mail that follows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from tubepost_api.config import DeliveryConfig
from tubepost_dispatcher.bounces.reports import Reports
from tubepost_dispatcher.delivery.deliverer import Deliverer
from tubepost_dispatcher.delivery.domain import Domain, DomainsInForce
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.follow_up import is_mail
from tubepost_dispatcher.notification import Notification, encode
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.queue.entries import expired_outcome, held_back, last_try, read_entry
from tubepost_dispatcher.queue.feeder import Feeder
from tubepost_dispatcher.queue.item import Item, ItemKeeper
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.queue.mails import Mails
from tubepost_dispatcher.queue.patience import Patience
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.store.port import Failure, Kept

_NOWHERE: Final = Domain(DeliveryConfig(), ())
"""Stands for the domain of a notification that ends when its domain is not served any more."""


class Endings:
    """Lives on one event loop; every method is called on it.

    Args:
        keeper: the queue, which is told how deliveries end.
        deliverer: tells listeners.
        domains: those in force; `swap` replaces them.
        patience: how long domains wait.
        feeder: told what goes back into a store.
        mails: that follow notifications.
        reports: what senders are told.
        clock: monotonic seconds.
        wall: unix seconds.
    """

    def __init__(
        self,
        keeper: ItemKeeper,
        deliverer: Deliverer,
        domains: DomainsInForce,
        patience: Patience,
        feeder: Feeder,
        mails: Mails,
        reports: Reports,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._keeper = keeper
        self._deliverer = deliverer
        self._domains = domains
        self._patience = patience
        self._feeder = feeder
        self._mails = mails
        self._reports = reports
        self._clock = clock
        self._wall = wall

    def swap(self, domains: DomainsInForce) -> None:
        """Put another configuration in force."""
        self._domains = domains

    def settle(self, slot: Slot, key: int, delivery: Delivery, outcome: Outcome) -> None:
        """A notification has ended: remove its row, or make it that of the mail which follows."""
        mail = delivery.follow_up
        notification = delivery.notification
        if mail is None and (outcome.kind is not OutcomeKind.DELIVERED or notification.dsn is not None):
            mail = self._reports.of(delivery, outcome, self._wall())
        if mail is None:
            slot.store.ended(key)
        else:
            if not mail.apns_id:
                mail.apns_id = notification.apns_id.decode("ascii", "replace")
            self._mails.replace(slot, key, mail, notification.sender)

    def end(self, lane: Lane, key: int, what: Notification, domain: Domain, outcome: Outcome) -> None:
        """End a taken entry that delivery does not have."""
        item, now = Item(self._keeper, lane, key, math.inf, fresh=None), self._clock()
        delivery = Delivery(what, domain, item, self._patience.of(domain)[1], now, now)
        self._deliverer.end(delivery, outcome)

    def expire(self, lane: Lane, one: Kept) -> None:
        """End a taken entry whose time is over, or tell its sender that it is late. See `Taker`."""
        if is_mail(one.entry.body):
            self._mails.expire(lane, one)
            return
        if (notification := read_entry(one)) is None:
            lane.slot.store.again(one.key, held_back(one.entry))
            return
        domain = self._domains.find(notification.domain) or _NOWHERE
        if notification.expires > self._wall():
            self._late(lane, one, notification, domain)
            return
        self.end(lane, one.key, notification, domain, expired_outcome(notification, one.entry.reason))

    def _late(self, lane: Lane, one: Kept, notification: Notification, domain: Domain) -> None:
        entry, slot = one.entry, lane.slot
        mail = self._reports.late(notification, domain, entry.reason, entry.route, self._wall())
        expires, notification.expires = notification.expires, 0.0
        told = entry._replace(body=encode(notification), expires=expires)

        def back(again: Kept, failure: Failure | None) -> None:
            if failure is None:
                slot.store.again(again.key, again.entry)
            else:
                slot.store.release([again.key])  # the next sweep finds it again
            self._feeder.stored(lane, again.entry.due)

        if mail is None:
            back(Kept(one.key, told), None)
        else:
            self._mails.add(slot, mail, notification.sender, partial(back, Kept(one.key, told)))

    def give_up(self, slot: Slot, one: Kept) -> bool:
        """End a taken entry that nobody will deliver, if its sender is told of that; else give it back."""
        notification = None if is_mail(one.entry.body) else read_entry(one)
        if notification is not None:
            domain = self._domains.find(notification.domain) or _NOWHERE
            if self._reports.would_tell(notification, domain):
                lane = self._feeder.known(slot, one)
                why = f"the pod has to go, and its queue with it; {last_try(notification, one.entry.reason)}"
                self.end(lane, one.key, notification, domain, permanent_outcome("QueueGone", why))
                return True
        slot.store.release([one.key])
        return False

    def drop(self, slot: Slot, one: Kept, why: str) -> None:
        """End a taken entry that delivery does not have: an operator gives it up."""
        if is_mail(one.entry.body):
            self._mails.drop(slot, one, why)
            return
        if (notification := read_entry(one)) is None:
            slot.store.ended(one.key)
            return
        domain = self._domains.find(notification.domain) or _NOWHERE
        lane = self._feeder.known(slot, one)
        self.end(lane, one.key, notification, domain, permanent_outcome("Dropped", why))
