"""A partition of the queue, as the worker that owns it sees it."""

from __future__ import annotations

from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.store.port import Store


class Slot:
    """One store, and what of it is in memory.

    Args:
        number: of the worker slot that the partition was made for.
        store: where its entries are.
    """

    __slots__ = ("active", "number", "opened", "reading", "store")

    def __init__(self, number: int, store: Store) -> None:
        self.number = number
        self.store = store
        self.active: dict[int, Delivery] = {}
        """What delivery has, by key."""
        self.opened = False
        """Its store has been asked to open, and has answered."""
        self.reading = False
        """What is due is being read."""
