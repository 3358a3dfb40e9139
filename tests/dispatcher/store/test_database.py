from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.dispatcher.store.support import NOW, an_entry
from tubepost_dispatcher.store import database as module
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Filter, Kept
from tubepost_dispatcher.store.trouble import Trouble

START = (-math.inf, -1)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "queue.db")


def fill(database: Database, count: int, *, due: float = NOW) -> list[Kept]:
    rows = [Kept(number, an_entry(number, due=due)) for number in range(1, count + 1)]
    with database.transaction():
        database.write(rows)
    return rows


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 63, 64, 65, 255, 256, 257, 700])
def test_any_number_of_rows_is_written_and_read(database: Database, count: int) -> None:
    rows = fill(database, count)
    assert database.read([row.key for row in rows]) == (rows, [])
    with database.transaction():
        database.remove([row.key for row in rows])
    assert database.read([row.key for row in rows]) == ([], [])


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    (row,) = fill(database, 1)
    with pytest.raises(Trouble), database.transaction():
        database.write([Kept(5, an_entry(5)), row])
    assert database.read([1, 5]) == ([row], [])


def test_due_goes_on_among_those_of_one_time(database: Database) -> None:
    fill(database, 25)
    found, place = [], START
    while more := database.due(place, NOW, 10):
        found += [key for _, key in more]
        place = more[-1]
    assert found == list(range(1, 26))
    assert database.due(START, NOW - 1, 10) == []


def test_a_page_looks_at_a_bounded_number_of_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 10)
    fill(database, 25)
    page, _ = database.page(Filter(message_ids=("m25",)), None, 5)
    assert (page.kept, page.following) == ((), 10)
    page, _ = database.page(Filter(message_ids=("m25",)), 20, 5)
    assert [one.key for one in page.kept] == [25]
    assert page.following is None


def test_a_tally_takes_steps(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 10)
    fill(database, 25)
    counted, after = [], None
    while not counted or after is not None:
        tally = database.tally(Filter(), NOW, after)
        counted.append((tally.looked_at, sum(one.queued for one in tally.counts)))
        after = tally.following
    assert counted == [(10, 10), (10, 10), (5, 5)]


def test_entries_are_counted_through_everything(database: Database) -> None:
    rows = fill(database, 6)
    assert database.entries == 6
    with database.transaction():
        database.remove([rows[0].key, rows[0].key, 12345])
        database.write([rows[1]], conflict="REPLACE")
        database.write([rows[2]], conflict="IGNORE")
    assert database.entries == 5

    def in_vain() -> None:
        with database.transaction():
            database.remove([rows[3].key])
            database.write([rows[4]])

    with pytest.raises(Trouble):
        in_vain()
    assert database.entries == 5
    database.set_aside([rows[5].key])
    assert database.entries == 4
    assert database.rows("SELECT count(*) FROM queue") == [(4,)]


def test_what_is_not_as_it_was_written_is_set_aside(database: Database) -> None:
    rows = fill(database, 6)
    for key, change in ((1, "body = 'x'"), (2, "due = 1.0"), (4, "message_id = X'ff'")):
        database._db.execute(f"UPDATE queue SET {change} WHERE key = ?", (key,))
    good, bad = database.read([row.key for row in rows])
    assert [one.key for one in good] == [3, 5, 6]
    assert bad == [1, 2, 4]
    database.set_aside(bad)
    assert database.damaged() == 3
    assert database.read(bad) == ([], [])


def test_keys_go_on_after_the_largest_that_is_known(database: Database) -> None:
    assert database.after_largest_key() == 1
    fill(database, 9)
    assert database.after_largest_key() == 10
    database.keep_keys_above(50)
    assert database.after_largest_key() == 51
    with database.transaction():
        database.remove([99], remember=True)
    assert database.after_largest_key() == 100


def test_the_log_is_copied_back_and_starts_over(database: Database, tmp_path: Path) -> None:
    fill(database, 500)
    assert database.log_pages > 50
    database.checkpoint()
    assert database.log_pages == 0
    size, unused = database.size()
    assert size > 500 * 400
    assert unused == 0
    database.close()
    assert (tmp_path / "queue.db").stat().st_size == size
    assert len(Database(tmp_path / "queue.db").read(list(range(501)))[0]) == 500


def test_no_file_is_mapped_into_memory(database: Database, tmp_path: Path) -> None:
    fill(database, 1)
    assert {file.name for file in tmp_path.iterdir()} == {"queue.db", "queue.db-wal"}
