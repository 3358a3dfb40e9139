"""What comes from senders in one turn of the event loop, and goes into the store together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tubepost_dispatcher.queue.item import Putting
from tubepost_dispatcher.store.port import Entry

MOST: Final = 100
"""Notifications after which a batch takes no more: whoever waits hears of it in one turn of the loop."""


class Batch:
    """Notifications that stay in memory for their first attempt."""

    __slots__ = ("entries", "puttings")

    def __init__(self) -> None:
        self.puttings: list[Putting] = []
        self.entries: list[Entry] = []
        """Of all of them, in order."""

    def add(self, putting: Putting, entries: Sequence[Entry]) -> bool:
        """These too, with what is stored of them. Whether that is enough."""
        self.puttings.append(putting)
        self.entries += entries
        return len(self.entries) >= MOST
