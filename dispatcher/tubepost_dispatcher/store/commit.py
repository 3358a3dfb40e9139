"""What becomes one commit: where each entry goes, and what that changes in bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tubepost_dispatcher.store import bundle_table
from tubepost_dispatcher.store.bundle import MOST
from tubepost_dispatcher.store.bundled import Bundled
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Entry
from tubepost_dispatcher.store.put import Put


class Fresh(NamedTuple):
    """New entries, and the key of the first; the others follow it."""

    key: int
    bundles: Sequence[tuple[int, bytes]]
    """How many entries are in each, and their stored form."""
    rows: Sequence[Entry]

    @property
    def total(self) -> int:
        """Of all entries."""
        return sum(count for count, _ in self.bundles) + len(self.rows)


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
    bundles: list[tuple[int, bytes]] = []
    rows: list[Entry] = []
    parts: list[bytes] = []
    count = 0
    for put in puts:
        if put.packed is None:
            rows += put.entries
            continue
        if parts and count + len(put.entries) > MOST:
            bundles.append((count, b"".join(parts)))
            parts, count = [], 0
        parts.append(put.packed)
        count += len(put.entries)
    if count:
        bundles.append((count, parts[0] if len(parts) == 1 else b"".join(parts)))
    return Fresh(key, bundles, rows)


def _in_rows(put: Put) -> bool:
    return put.packed is None


def commit(database: Database, bundled: Bundled, new: Fresh, changes: Changes, now: float) -> None:
    """Make it durable. `bundled` is changed once it is; `now` in monotonic seconds."""
    again, ended, unfolded, remember = changes
    leaving = bundled.leaving({*ended, *again, *unfolded}) if len(bundled) else None
    if not (new.rows or again or ended or unfolded) and len(new.bundles) == 1:
        bundle_table.store(database, new.key, *new.bundles[0])
    else:
        with database.transaction():
            key = new.key
            for count, data in new.bundles:
                bundle_table.store(database, key, count, data)
                key += count
            database.write(list(enumerate(new.rows, key)))
            database.write(list(again.items()), conflict="REPLACE")
            database.write(list(unfolded.items()))
            database.remove(list(ended - leaving.keys if leaving else ended), remember=remember)
            if leaving is not None:
                bundle_table.leave(database, leaving)
    if leaving is not None:
        bundled.left(leaving)
    key = new.key
    for count, data in new.bundles:
        bundled.add(key, count, data, now)
        key += count
