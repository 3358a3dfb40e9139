from __future__ import annotations

from pathlib import Path

import pytest

from tests.dispatcher.store.support import NOW, Sync, an_entry
from tubepost_dispatcher.store.port import Filter, Page, Tally


@pytest.fixture
def store(tmp_path: Path) -> Sync:
    return Sync(tmp_path / "p")


def put(store: Sync, numbers: range, *, take: bool = True) -> list[int]:
    keys = store.put(*map(an_entry, numbers), take=take)
    assert isinstance(keys, list)
    return keys


def test_what_is_in_bundles_and_in_rows_is_shown_together(store: Sync) -> None:
    first = put(store, range(3))
    rows = put(store, range(3, 5), take=False)
    last = put(store, range(5, 7))
    assert list(store.all()) == first + rows + last
    page = store.partition.page(Filter(), None, 4)
    assert isinstance(page, Page)
    assert [one.key for one in page.kept] == [*first, rows[0]]
    page = store.partition.page(Filter(), page.following, 4)
    assert isinstance(page, Page)
    assert [one.key for one in page.kept] == [rows[1], *last]
    tally = store.partition.tally(Filter(), NOW, None)
    assert isinstance(tally, Tally)
    assert sum(count.queued for count in tally.counts) == 7 == store.partition.figures.entries


def test_looking_writes_nothing(store: Sync) -> None:
    store.put(an_entry())
    commits = store.partition.figures.commits
    store.all()
    store.partition.tally(Filter(), NOW, None)
    assert store.partition.lanes(None, 10) == []  # what is taken is nobody's turn
    assert store.partition.figures.commits == commits


def test_what_is_released_from_a_bundle_is_handed_out_as_it_was(store: Sync) -> None:
    keys = put(store, range(3))
    store.partition.release(keys[:1])
    found = store.partition.due(NOW, 10)
    assert isinstance(found, list)
    assert [(one.key, one.entry) for one in found] == [(keys[0], an_entry(0))]
    assert store.partition.take(keys) == []
    store.ended(*keys)
    assert store.all() == {}


def test_after_a_while_bundles_become_rows_and_stay_taken(store: Sync) -> None:
    keys = put(store, range(3))
    store.ended(keys[1])
    assert store.partition.idle_work is not None
    store.settle()
    database = store.partition._database
    assert database is not None
    assert database.rows("SELECT (SELECT count(*) FROM bundle), count(*) FROM queue") == [(0, 2)]
    assert store.partition.due(NOW, 10) == []
    store.drop_dead()
    after = Sync(store.partition._path)
    assert list(after.all()) == [keys[0], keys[2]]


def test_with_patience_one_step_looks_at_more(store: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.store.database.LOOKED_AT", 10)
    monkeypatch.setattr("tubepost_dispatcher.store.reading.AT_LENGTH", 2)
    rows = put(store, range(100), take=False)
    bundled = put(store, range(100, 103))
    partition, which = store.partition, Filter(message_ids=("m95", "m101"))
    ticks = iter(range(10_000))
    partition._clock = lambda: next(ticks)

    def looked_at(tally: object) -> tuple[int, int | None]:
        assert isinstance(tally, Tally)
        return tally.looked_at, tally.following

    assert looked_at(partition.tally(Filter(), NOW, None)) == (10, rows[9])
    # The clock is read when it is opened, too.
    assert looked_at(partition.tally(Filter(), NOW, None, 4.0)) == (60, rows[59])
    assert looked_at(partition.tally(Filter(), NOW, None, 1e9)) == (103, None)
    page = partition.page(which, None, 10)
    assert isinstance(page, Page)
    assert (page.kept, page.following) == ((), rows[9])
    page = partition.page(which, None, 10, 1e9)
    assert isinstance(page, Page)
    assert ([one.key for one in page.kept], page.following) == ([rows[95], bundled[1]], None)
    page = partition.page(Filter(), None, 25, 1e9)
    assert isinstance(page, Page)
    assert ([one.key for one in page.kept], page.following) == (rows[:25], rows[24])
