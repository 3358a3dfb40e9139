"""What becomes one commit: where each entry goes, and what that changes in bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tubepost_dispatcher.store import bundle_table
from tubepost_dispatcher.store.bundle import MOST, fits
from tubepost_dispatcher.store.bundled import Bundled
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Entry
from tubepost_dispatcher.store.put import Put


class Fresh(NamedTuple):
    """New entries, and the key of the first; the others follow it."""

    key: int
    bundled: Sequence[Entry]
    rows: Sequence[Entry]


class Changes(NamedTuple):
    """What changes of entries that were there before."""

    again: Mapping[int, Entry]
    """Written anew."""
    ended: AbstractSet[int]
    unfolded: Mapping[int, Entry]
    """Entries of bundles that become rows, as they are."""
    remember: bool
    """That they have ended, for a salvage that has not come to them yet."""


def in_order(puts: Sequence[Put]) -> list[Put]:
    """The order in which puts get their keys: those first whose entries go into bundles."""
    # Most are taken, and end before anybody looks for them.
    return sorted(puts, key=_in_rows)


def fresh(key: int, puts: Sequence[Put]) -> Fresh:
    """The entries of puts that are `in_order`."""
    bundled: list[Entry] = []
    rows: list[Entry] = []
    for put in puts:
        if _in_rows(put):
            rows += put.entries
        else:
            bundled += put.entries
    return Fresh(key, bundled, rows)


def _in_rows(put: Put) -> bool:
    return not (put.take and fits(put.entries))


def commit(database: Database, bundled: Bundled, new: Fresh, changes: Changes, now: float) -> None:
    """Make it durable. `bundled` is changed once it is; `now` in monotonic seconds."""
    again, ended, unfolded, remember = changes
    leaving = bundled.leaving({*ended, *again, *unfolded}) if len(bundled) else None
    starts = range(0, len(new.bundled), MOST)
    if not (new.rows or again or ended or unfolded) and len(starts) == 1:
        bundle_table.store(database, new.key, new.bundled)
    else:
        with database.transaction():
            for start in starts:
                bundle_table.store(database, new.key + start, new.bundled[start : start + MOST])
            database.write(list(enumerate(new.rows, new.key + len(new.bundled))))
            database.write(list(again.items()), conflict="REPLACE")
            database.write(list(unfolded.items()))
            database.remove(list(ended - leaving.keys if leaving else ended), remember=remember)
            if leaving is not None:
                bundle_table.leave(database, leaving)
    if leaving is not None:
        bundled.left(leaving)
    for start in starts:
        bundled.add(new.key + start, new.bundled[start : start + MOST], now)
