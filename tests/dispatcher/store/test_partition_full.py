"""A partition on a volume that is full, though it has more space than the reserve: a quota, or no reserve."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from tests.dispatcher.store.support import Disk, Sync, an_entry, failing
from tubepost_dispatcher.store import partition as module
from tubepost_dispatcher.store.port import Failure


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store(tmp_path: Path, disk: Disk) -> Sync:
    return Sync(tmp_path / "p", disk)


def test_a_volume_that_is_full_for_sqlite_is_called_full_until_a_pause_is_over(
    store: Sync, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(an_entry(1))
    disk.on_write = failing(apsw.FullError, apsw.SQLITE_FULL)
    for _ in range(10):
        assert isinstance(store.put(an_entry(2)), Failure)
        store.partition.idle()
        assert store.partition.figures.failure is not None
    assert len(caplog.messages) == 1
    store.clock.now += module.PAUSE
    store.partition.idle()
    assert store.partition.figures.failure is None


def test_a_volume_that_is_full_for_a_while_delays_a_salvage(store: Sync, disk: Disk) -> None:
    keys = store.put(*map(an_entry, range(1_200)))
    assert isinstance(keys, list)
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, only="-wal", times=1)
    assert isinstance(store.put(an_entry(2_000)), Failure)
    assert store.partition.open() is None
    disk.on_write = failing(apsw.FullError, apsw.SQLITE_FULL)
    store.partition.idle()
    assert store.partition.idle_work == module.PAUSE
    store.partition.idle()  # too early
    disk.on_write = lambda _: None
    store.settle()
    assert set(store.all()) == set(keys)
    assert store.partition.figures.quarantined == 0
