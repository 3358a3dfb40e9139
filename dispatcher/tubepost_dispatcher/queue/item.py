"""A notification of the queue while it is in memory, and what was put into the queue together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tubepost_dispatcher.delivery.domain import Checked, Domain
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.queue.lanes import Lane
from tubepost_dispatcher.store.port import Failure

NO_KEY: Final = -1
"""Of an item that is not in its store yet."""
Waiting = tuple[Notification, Domain, Checked | None]
"""A notification with the domain in force for it, and what a check against that domain came to."""


class ItemKeeper(Protocol):
    """The queue, as its items see it."""

    def item_ended(self, item: Item, delivery: Delivery, outcome: Outcome) -> None:
        """Delivery has come to an end with it."""

    def item_deferred(self, item: Item, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """Delivery gives it back until `at` (monotonic seconds)."""


class Item:
    """One notification that delivery has; the owner of its delivery. Its entry is taken from its store."""

    __slots__ = ("_keeper", "expires", "fresh", "hold", "key", "lane", "slot", "waiting")

    def __init__(
        self,
        keeper: ItemKeeper,
        lane: Lane,
        key: int,
        expires: float,
        *,
        fresh: bool | None,
        waiting: Waiting | None = None,
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
        self.waiting = waiting
        """What delivery gets once it is durable; `key` is set then."""

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """See `DeliveryOwner.ended`."""
        self._keeper.item_ended(self, delivery, outcome)

    def deferred(self, delivery: Delivery, outcome: Outcome, at: float) -> None:
        """See `DeliveryOwner.deferred`."""
        self._keeper.item_deferred(self, delivery, outcome, at)


class Putting:
    """Notifications on their way into a store, all or none.

    Args:
        items: the notifications.
        done: told None when they are durable, or why none of them was stored.
    """

    __slots__ = ("abandoned", "done", "items")

    def __init__(self, items: Sequence[Item], done: Callable[[Failure | None], None]) -> None:
        self.items = items
        self.done = done
        self.abandoned = False

    def abandon(self) -> None:
        """Nobody waits for it any more: what is not durable yet is removed once it is, and never delivered.

        `done` is not called any more. Too late once it was.
        """
        self.abandoned = True

    def tell(self, failure: Failure | None) -> None:
        """Tell whoever waits for it."""
        if not self.abandoned:
            self.done(failure)
