from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest

from tests.dispatcher.store.support import NOW, Sync, an_entry
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Entry
from tubepost_dispatcher.store.schema import SCHEMA, made_since

RECORDED = Path(__file__).parent / "data"
"""Files as older releases left them, of a process that was killed: some entries are in the log only."""
IN_IT: list[Entry] = [
    *(an_entry(number) for number in (1, 2, 3)),
    an_entry(4, due=NOW + 60, reason="TooManyRequests", attempt=2)._replace(route="apns"),
    an_entry(5, due=math.inf)._replace(hold="night shift: storm", lane=7),
    an_entry(6),
    an_entry(7),
]


@pytest.fixture
def older(tmp_path: Path) -> Path:
    current = tmp_path / "p" / "current"
    current.mkdir(parents=True)
    for name in ("queue.db", "queue.db-wal"):
        packed = RECORDED / f"{name.replace('queue', 'queue-1')}.gz"
        (current / name).write_bytes(gzip.decompress(packed.read_bytes()))
    return tmp_path / "p"


def test_the_first_version_is_read_and_becomes_this_one(older: Path) -> None:
    store = Sync(older)
    present = store.all()
    assert list(present.values()) == IN_IT
    assert store.partition.figures.entries == len(IN_IT)
    assert store.partition.figures.quarantined == 0
    (key,) = store.put(an_entry(8))  # type: ignore[misc]
    store.ended(next(iter(present)))
    store.drop_dead()
    again = Sync(older)
    assert list(again.all().values()) == [*IN_IT[1:], an_entry(8)]
    assert key in again.all()
    database = again.partition._database
    assert database is not None
    assert database.rows("PRAGMA user_version") == [(SCHEMA,)]


def test_what_can_be_saved_of_the_first_version_is(older: Path) -> None:
    newer = Sync(older.with_name("q"))
    newer.partition.open()
    assert newer.partition._directory is not None
    old = Database(older / "current" / "queue.db", read_only=True)
    assert old.version == 1
    assert len(old.rows_between(-1, 2**62, 100)[0]) == len(IN_IT)
    old.abandon()
    (older / "current").rename(older.with_name("q") / "quarantined-1")
    newer.partition.close()
    again = Sync(older.with_name("q"))
    again.partition.open()
    again.settle()
    assert list(again.all().values()) == IN_IT


def test_each_version_is_made_into_this_one() -> None:
    assert made_since(1) in made_since(0)
    assert "queue(" not in made_since(1)
