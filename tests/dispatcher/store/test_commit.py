from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.store import bundle_table
from tubepost_dispatcher.store.bundle import MOST, pack
from tubepost_dispatcher.store.bundled import Bundled
from tubepost_dispatcher.store.commit import Changes, Fresh, commit, fresh, in_order
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Entry
from tubepost_dispatcher.store.put import Put
from tubepost_dispatcher.store.trouble import Trouble

NOTHING = Changes({}, frozenset(), {}, remember=False)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "queue.db")
    yield made
    made.abandon()


def entries(count: int) -> list[Entry]:
    return [an_entry(number) for number in range(count)]


def packed(*what: Entry) -> bytes:
    found = pack(what)
    assert found is not None
    return found


def bundles(count: int) -> list[tuple[int, bytes]]:
    return [(count, packed(*entries(count)))]


def in_bundles(database: Database) -> list[int]:
    return [one.key for good, _ in bundle_table.read(database) for one in good]


def test_what_is_taken_and_fresh_comes_first() -> None:
    def put(*what: Entry, take: bool = True) -> Put:
        return Put(what, lambda _: None, take, pack(what) if take else None)

    a, b, c = put(an_entry(1)), put(an_entry(2), take=False), put(an_entry(3))
    tried = put(an_entry(4, reason="x"))
    ordered = in_order([b, a, tried, c])
    assert ordered == [a, c, b, tried]
    assert fresh(5, ordered) == Fresh(5, [(2, packed(*a.entries, *c.entries))], [*b.entries, *tried.entries])
    assert fresh(5, ordered).total == 4


def test_large_puts_are_bundles_apart() -> None:
    puts = [Put(what, lambda _: None, True, packed(*what)) for what in (entries(300), entries(300))]
    assert [count for count, _ in fresh(1, puts).bundles] == [300, 300]
    assert fresh(1, []) == Fresh(1, [], [])


def test_a_bundle_alone_is_one_statement(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = Bundled()
    with monkeypatch.context() as patched:
        patched.setattr(Database, "transaction", None)
        commit(database, bundled, Fresh(10, bundles(3), []), NOTHING, 0.0)
    assert in_bundles(database) == [10, 11, 12] == sorted(bundled.all())


def test_many_are_several_bundles_and_rows_follow_them(database: Database) -> None:
    bundled = Bundled()
    commit(database, bundled, Fresh(10, [*bundles(MOST), *bundles(1)], entries(2)), NOTHING, 0.0)
    assert database.rows("SELECT first, count FROM bundle") == [(10, MOST), (10 + MOST, 1)]
    assert [key for (key,) in database.rows("SELECT key FROM queue")] == [11 + MOST, 12 + MOST]
    assert len(bundled) == MOST + 1


def test_what_leaves_a_bundle_becomes_a_row_or_nothing(database: Database) -> None:
    bundled, first = Bundled(), entries(4)
    commit(database, bundled, Fresh(10, [(4, packed(*first))], []), NOTHING, 0.0)
    tried = an_entry(9, reason="Busy")
    commit(database, bundled, Fresh(0, [], []), Changes({11: tried}, {10}, {12: first[2]}, False), 0.0)
    assert in_bundles(database) == [13] == list(bundled.all())
    found = {one.key: one.entry for one in database.read([10, 11, 12, 13])[0]}
    assert found == {11: tried, 12: first[2]}
    commit(database, bundled, Fresh(0, [], []), Changes({}, {11, 13}, {}, False), 0.0)
    assert database.rows("SELECT * FROM bundle") == []
    assert database.entries == 1


def test_what_fails_changes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = Bundled()
    commit(database, bundled, Fresh(10, bundles(2), []), NOTHING, 0.0)

    def fail(*_: Any) -> None:
        raise ArithmeticError

    monkeypatch.setattr(bundle_table, "leave", fail)
    with pytest.raises(ArithmeticError):
        commit(database, bundled, Fresh(20, bundles(2), entries(1)), Changes({}, {10}, {}, False), 0.0)
    assert sorted(bundled.all()) == in_bundles(database) == [10, 11]
    assert database.entries == 0
    with pytest.raises(Trouble):
        commit(database, bundled, Fresh(10, bundles(1), []), NOTHING, 0.0)
    assert len(bundled) == 2
