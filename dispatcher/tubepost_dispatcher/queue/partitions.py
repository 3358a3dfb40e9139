"""The partitions of a worker's queue: opened, adopted, given back to their owner, closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial

from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.store.port import Failure, Store

_LOG = logging.getLogger("tubepost.queue")


class Partitions:
    """Opens and closes stores. Lives on one event loop; nothing waits for the disk.

    Args:
        slots: those that are worked on, by number, the own one first; kept up to date here.
        open_store: makes the store of a slot.
        opened: told when a store has answered.
        recall: takes back from delivery what was not sent of a partition.
        loop: calls back.
    """

    def __init__(
        self,
        slots: dict[int, Slot],
        open_store: Callable[[int], Store],
        opened: Callable[[], None],
        recall: Callable[[Slot], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._open_store = open_store
        self._opened = opened
        self._recall = recall
        self._loop = loop
        self._leaving: set[Slot] = set()
        self.slots = slots

    def open(self, number: int) -> Slot:
        """Open the partition of a slot; one that another process has is opened when that gives it back."""
        slot = self.slots[number] = Slot(number, self._open_store(number))
        slot.store.start(partial(self._answered, slot))
        return slot

    def keep(self, numbers: Collection[int]) -> None:
        """Have exactly these partitions: open those that are missing, give the others back."""
        for number in self.slots.keys() - set(numbers):
            slot = self.slots.pop(number)
            slot.leaving = True
            self._leaving.add(slot)
            self._recall(slot)
            self.settle(slot)
            _LOG.info("queue %02d: given back, its worker has it again", number)
        for number in sorted(set(numbers) - self.slots.keys()):
            self.open(number)

    def settle(self, slot: Slot) -> None:
        """Close a partition that is given back once nothing of it is under way any more."""
        # In a later turn: what has just ended is still to be removed.
        if slot.leaving and not slot.active and not slot.mailing:
            self._loop.call_soon(self._close_one, slot)

    def _close_one(self, slot: Slot) -> None:
        if slot in self._leaving:
            self._leaving.remove(slot)
            slot.store.close(lambda: None)

    async def close(self) -> None:
        """Close all of them, whatever delivery still has: it is met again by who opens them next."""
        over = []
        for slot in (*self.slots.values(), *self._leaving):
            closed = asyncio.Event()
            slot.store.close(closed.set)
            over.append(closed)
        self._leaving.clear()
        for closed in over:
            await closed.wait()

    def _answered(self, slot: Slot, failure: Failure | None) -> None:
        del failure  # the store has said it, and tries again
        slot.opened = True
        self._opened()
