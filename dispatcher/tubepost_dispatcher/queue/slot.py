"""A partition of the queue, as the worker that owns it sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.store.disk import DiskStore
from tubepost_dispatcher.store.memory import MemoryStore
from tubepost_dispatcher.store.port import Store


def store_of(directory: Path | None, slot: int, loop: asyncio.AbstractEventLoop) -> Store:
    """The store of a worker slot; in memory without a directory."""
    return MemoryStore(loop) if directory is None else DiskStore(partition_path(directory, slot), loop)


class UnderWay(Protocol):
    """A mail on its way to the relay, as operations see it."""

    hold: str


class Slot:
    """One store, and what of it is in memory.

    Args:
        number: of the worker slot that the partition was made for.
        store: where its entries are.
    """

    __slots__ = (
        "active",
        "leaving",
        "mailing",
        "number",
        "opened",
        "scanning",
        "scans",
        "set_aside",
        "store",
    )

    def __init__(self, number: int, store: Store) -> None:
        self.number = number
        self.store = store
        self.active: dict[int, Delivery] = {}
        """What delivery has, by key."""
        self.mailing: dict[int, UnderWay] = {}
        """The mails that are on their way to the relay, by key."""
        self.leaving = False
        """It is given back to the worker of its slot: nothing is read from it any more."""
        self.opened = False
        """Its store has been asked to open, and has answered."""
        self.scanning = False
        """Its lanes are being looked through."""
        self.scans = 0
        """How many more times its lanes are looked through sooner than else, after a trouble."""
        self.set_aside: tuple[int, int, bool] = (0, 0, True)
        """Files and entries that were set aside, and whether it works, when it was last looked at."""
