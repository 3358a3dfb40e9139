"""A notification of the queue while it is in memory, and what was put into the queue together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from tubepost_dispatcher.delivery.domain import Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.store.port import Entry, Failure, Kept, Store


class ItemKeeper(Protocol):
    """The queue, as its items see it."""

    def item_ended(self, item: Item, delivery: Delivery, outcome: Outcome) -> None:
        """Delivery has come to an end with it."""

    def item_deferred(self, item: Item, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """Delivery gives it back until `at` (monotonic seconds)."""


class Item:
    """One notification that delivery has; the owner of its delivery. Its entry is taken from its store."""

    __slots__ = ("_keeper", "expires", "fresh", "hold", "key", "lane", "slot")

    def __init__(
        self, keeper: ItemKeeper, lane: Lane, key: int, expires: float, *, fresh: bool | None
    ) -> None:
        self._keeper = keeper
        self.lane = lane
        self.slot = lane.slot
        self.fresh = fresh
        """It came from its sender, not from the store; None: it does not count in its lane."""
        self.key = key
        """Of its entry in the slot's store."""
        self.expires = expires
        """Unix seconds, as they stand in its entry."""
        self.hold = ""
        """Set while it is being sent: an operator holds it, should this attempt fail."""

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """See `DeliveryOwner.ended`."""
        self._keeper.item_ended(self, delivery, outcome)

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """See `DeliveryOwner.deferred`."""
        self._keeper.item_deferred(self, delivery, outcome, at)


class Putting:
    """Notifications on their way into a store, all or none.

    Args:
        items: the notifications, each with the domain in force for it.
        entries: what is stored of them.
        lanes: theirs.
        done: told None when they are durable, or why none of them was stored.
        stored: told their keys when they are durable, after `done`; or why they are not.
        taken: whether they stay in memory.
    """

    __slots__ = ("_done", "_stored", "abandoned", "entries", "items", "lanes", "taken")

    def __init__(
        self,
        items: Sequence[tuple[Notification, Domain]],
        entries: Sequence[Entry],
        lanes: Sequence[Lane],
        done: Callable[[Failure | None], None],
        stored: Callable[[Putting, Sequence[int] | Failure], None],
        *,
        taken: bool,
    ) -> None:
        self.items = items
        self.entries = entries
        self.lanes = lanes
        self.taken = taken
        self._done = done
        self._stored = stored
        self.abandoned = False

    def abandon(self) -> None:
        """Nobody waits for it any more: what is not durable yet is removed once it is, and never delivered.

        `done` is not called any more. Too late once it was.
        """
        self.abandoned = True

    def answered(self, answer: Sequence[int] | Failure) -> None:
        """For the store: the keys of what is durable now, or why nothing was stored."""
        try:
            if not self.abandoned:
                self._done(answer if isinstance(answer, Failure) else None)
        finally:
            self._stored(self, answer)

    def remove(self, store: Store, keys: Sequence[int]) -> None:
        """Remove what is durable now and was abandoned before, unless it was read in between."""
        if self.taken:
            for key in keys:
                store.ended(key)
        else:
            store.take(keys, partial(_end, store))


def _end(store: Store, answer: Sequence[Kept] | Failure) -> None:
    for one in () if isinstance(answer, Failure) else answer:
        store.ended(one.key)
