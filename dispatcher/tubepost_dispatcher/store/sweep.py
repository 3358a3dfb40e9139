"""Finds what has expired, some at a time, by one walk after the other through all lanes."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.store.database import LEAST_LANE, Database
from tubepost_dispatcher.store.taken import START, Taken

LOOKED_AT: Final = 20_000
"""Entries that one step looks at: two milliseconds, in an index."""
_LANES: Final = 200
"""Lanes that one step looks at."""


class Sweep:
    """Where the walk is. Most entries end otherwise; this finds those of lanes that nobody reads."""

    def __init__(self) -> None:
        self._lane = LEAST_LANE - 1
        self._place: tuple[float, int] | None = None
        """In that lane; None: go on at the next one."""

    def step(self, database: Database, taken: Taken, now: float, limit: int) -> list[int]:
        """The keys of at most `limit` entries that have expired and are neither taken nor held."""
        keys: list[int] = []
        for _ in range(_LANES):
            if self._place is None:
                heads = database.lanes(self._lane, 1)
                if not heads:
                    self._lane = LEAST_LANE - 1
                    break
                self._lane, self._place = heads[0].lane, START
            found, self._place = database.expired(self._lane, self._place, now, LOOKED_AT, limit - len(keys))
            keys += [key for _, key in found if key not in taken]
            if self._place is not None or len(keys) >= limit:
                break
        return keys
