from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.dispatcher.store.support import Sync, an_entry
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.directory import Directory
from tubepost_dispatcher.store.salvage import Salvage


@pytest.fixture
def aside(tmp_path: Path) -> tuple[Directory, Path, list[int]]:
    """A directory whose database, with 1,200 entries, has been set aside."""
    store = Sync(tmp_path / "p")
    keys = store.put(*map(an_entry, range(1_200)), take=False)
    assert isinstance(keys, list)
    store.drop_dead()
    directory = Directory(tmp_path / "p")
    directory.set_aside()
    found = directory.to_salvage()
    assert found is not None
    return directory, found, keys


def test_everything_is_copied_in_steps_from_the_log_too(aside: tuple[Directory, Path, list[int]]) -> None:
    directory, path, keys = aside
    database = Database(directory.database)
    salvage = Salvage(path, "")
    steps = 1
    while not salvage.step(database, directory):
        steps += 1
    assert steps == 4
    assert [one.key for one in database.read(keys)[0]] == keys
    assert directory.set_aside_count() == 0
    database.abandon()


def test_it_goes_on_where_it_was_and_leaves_out_what_has_ended(
    aside: tuple[Directory, Path, list[int]],
) -> None:
    directory, path, keys = aside
    database = Database(directory.database)
    Salvage(path, "").step(database, directory)
    with database.transaction():
        database.remove([keys[0], keys[1_000]], remember=True)
    again = Salvage(path, "")
    while not again.step(database, directory):
        pass
    assert [one.key for one in database.read(keys)[0]] == [
        key for key in keys if key not in {keys[0], keys[1_000]}
    ]
    database.abandon()


def test_a_damaged_entry_is_left_out_and_the_file_is_kept(aside: tuple[Directory, Path, list[int]]) -> None:
    directory, path, keys = aside
    db = sqlite3.connect(path / "queue.db")
    db.execute("UPDATE queue SET body = 'something else' WHERE key = ?", (keys[7],))
    db.commit()
    db.close()
    database = Database(directory.database)
    salvage = Salvage(path, "")
    while not salvage.step(database, directory):
        pass
    assert len(database.read(keys)[0]) == 1_199
    assert directory.set_aside_count() == 1
    assert directory.to_salvage() is None
    database.abandon()
