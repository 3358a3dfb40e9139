"""The tables of bundles: what commits write into them, and how they become rows when a file is opened.

    bundle        one row for each bundle of which something is left
    bundle_gone   one row: the keys of all that has left those bundles

While a process lives it knows what is in its bundles, and reads none. They are for its successor.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from tubepost_dispatcher.store.bundle import Unpacked, unpack
from tubepost_dispatcher.store.bundled import Leaving
from tubepost_dispatcher.store.database import Database, array_of
from tubepost_dispatcher.store.schema import BUNDLES_SINCE

_DAMAGED: Final = (
    "INSERT INTO damaged(key, message_id, domain, sender, accepted, due, expires, attempt, lane, crc, body)"
    " VALUES (?, '', '', '', 0, 0, 0, 0, 0, 0, ?)"
)
"""A record that cannot be read, as it is."""


def store(database: Database, first: int, count: int, data: bytes) -> None:
    """Write a bundle: one statement, so that it can be a commit by itself."""
    database.execute("INSERT INTO bundle(first, count, data) VALUES (?, ?, ?)", (first, count, data))


def leave(database: Database, leaving: Leaving) -> None:
    """Remove bundles that are over, and remember what has left the others."""
    if leaving.over:
        database.execute("DELETE FROM bundle WHERE first IN carray(?)", (array_of(leaving.over),))
    keys = struct.pack(f"<{len(leaving.gone)}q", *leaving.gone)
    database.execute(
        "INSERT OR REPLACE INTO bundle_gone(id, crc, keys) VALUES (1, ?, ?)", (zlib.crc32(keys), keys)
    )


def read(database: Database) -> Iterator[Unpacked]:
    """All bundles, without what has left them."""
    if database.version < BUNDLES_SINCE:
        return
    gone = _gone(database)
    place = -1
    while found := database.rows(
        "SELECT first, count, data FROM bundle WHERE first > ? ORDER BY first LIMIT 1", (place,)
    ):
        place, count, data = found[0]
        good, bad = unpack(place, count, data)
        yield Unpacked(
            [one for one in good if one.key not in gone], [one for one in bad if one[0] not in gone]
        )


def unfold(database: Database) -> int:
    """Write all that is left in bundles as rows. How many of them are damaged, and set aside."""
    if not database.rows("SELECT 1 FROM bundle LIMIT 1"):
        return 0
    damaged = 0
    with database.transaction():
        for good, bad in read(database):
            # What is a row already is newer.
            database.write(good, conflict="IGNORE")
            for key, octets in bad:
                database.execute(_DAMAGED, (key, octets))
            damaged += len(bad)
        database.execute("DELETE FROM bundle")
        database.execute("DELETE FROM bundle_gone")
    return damaged


def _gone(database: Database) -> frozenset[int]:
    for crc, keys in database.rows("SELECT crc, keys FROM bundle_gone"):
        # Without it they come again: a double at worst, never a loss.
        if zlib.crc32(keys) == crc:
            return frozenset(key for (key,) in struct.iter_unpack("<q", keys))
    return frozenset()
