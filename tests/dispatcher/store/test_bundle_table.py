from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.store import bundle_table
from tubepost_dispatcher.store.bundle import pack
from tubepost_dispatcher.store.bundled import Leaving
from tubepost_dispatcher.store.database import Database

ENTRIES = [an_entry(number) for number in range(6)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "queue.db")
    for first, entries in ((10, ENTRIES[:3]), (20, ENTRIES[3:])):
        packed = pack(entries)
        assert packed is not None
        bundle_table.store(made, first, len(entries), packed)
    yield made
    made.abandon()


def keys(database: Database) -> list[int]:
    return [one.key for good, _ in bundle_table.read(database) for one in good]


def test_what_is_left_is_read_and_becomes_rows(database: Database) -> None:
    assert keys(database) == [10, 11, 12, 20, 21, 22]
    bundle_table.leave(database, Leaving(frozenset({11, 20, 21, 22}), [20], [11]))
    assert keys(database) == [10, 12]
    assert database.entries == 0
    assert bundle_table.unfold(database) == 0
    assert keys(database) == []
    good, bad = database.read([10, 11, 12, 20])
    assert [(one.key, one.entry) for one in good] == [(10, ENTRIES[0]), (12, ENTRIES[2])]
    assert bad == []
    assert database.entries == 2
    assert bundle_table.unfold(database) == 0


def test_a_row_is_newer_than_what_is_in_a_bundle(database: Database) -> None:
    newer = an_entry(77, reason="Again")
    with database.transaction():
        database.write([(11, newer)])
    bundle_table.unfold(database)
    assert database.read([11])[0][0].entry == newer


def test_damaged_records_are_set_aside_alone(database: Database) -> None:
    (data,) = database.rows("SELECT data FROM bundle WHERE first = 10")[0]
    database.execute("UPDATE bundle SET data = ? WHERE first = 10", (data.replace(b"m1", b"m9"),))
    assert bundle_table.unfold(database) == 1
    assert database.damaged() == 1
    assert [one.key for one in database.read([10, 11, 12])[0]] == [10, 12]
    ((key, octets),) = database.rows("SELECT key, body FROM damaged")
    assert (key, b"m9" in octets) == (11, True)


def test_without_what_is_remembered_all_of_a_bundle_comes_again(database: Database) -> None:
    bundle_table.leave(database, Leaving(frozenset({11}), [], [11]))
    database.execute("UPDATE bundle_gone SET keys = x'0000000000000001'")
    assert keys(database) == [10, 11, 12, 20, 21, 22]


def test_a_database_of_the_first_version_has_no_bundles(database: Database) -> None:
    database.version = 1
    assert keys(database) == []
