"""A partition whose files are deleted or moved under it: no 250 for what would go with the process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dispatcher.store.support import NOW, Sync, an_entry
from tubepost_dispatcher.store import partition as module
from tubepost_dispatcher.store.port import Failure

GONE = ["", "current", "current/queue.db", "current/queue.db-wal", "lock"]


@pytest.fixture
def store(tmp_path: Path) -> Sync:
    return Sync(tmp_path / "queue" / "00")


def keys_of(answer: list[int] | Failure) -> list[int]:
    assert isinstance(answer, list), answer
    return answer


def take_away(store: Sync, what: str, *, to: Path | None = None) -> None:
    path = store.partition._path / what
    if to is not None:
        path.rename(to)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    store.clock.now += module.LOOK


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("what", GONE)
def test_everything_acknowledged_is_in_the_directory_again(
    store: Sync, tmp_path: Path, what: str, moved: bool
) -> None:
    before = keys_of(store.put(*map(an_entry, range(1_200))))
    store.ended(*before[:100])
    take_away(store, what, to=tmp_path / "moved" if moved else None)
    later = keys_of(store.put(an_entry(2_000)))
    store.ended(before[100], before[1_199])
    store.again(before[101], an_entry(101, due=NOW + 60.0))
    store.settle()
    expected = {*before[101:1_199], *later}
    assert set(store.all()) == expected
    assert store.partition.figures.failure is None
    assert store.partition.figures.entries == len(expected)
    store.drop_dead()
    after = Sync(store.partition._path)
    present = after.all()
    assert set(present) == expected
    assert present[before[101]].due == NOW + 60.0


def test_it_is_noticed_without_anything_to_write(store: Sync) -> None:
    keys = keys_of(store.put(*map(an_entry, range(3)), take=False))
    take_away(store, "")
    assert not isinstance(store.partition.next_due(), Failure)
    store.settle()
    store.drop_dead()
    assert set(Sync(store.partition._path).all()) == set(keys)


def test_deleted_again_while_it_is_being_saved(store: Sync) -> None:
    keys = keys_of(store.put(*map(an_entry, range(1_500))))
    take_away(store, "")
    newer = keys_of(store.put(an_entry(2_000)))
    store.partition.idle()  # the first 500 are there again
    store.ended(keys[0], keys[1_000])
    take_away(store, "current")
    newest = keys_of(store.put(an_entry(2_001)))
    store.settle()
    store.drop_dead()
    assert set(Sync(store.partition._path).all()) == {*keys, *newer, *newest} - {keys[0], keys[1_000]}


def test_what_is_not_saved_yet_is_saved_before_it_is_closed(store: Sync) -> None:
    keys = keys_of(store.put(*map(an_entry, range(1_500))))
    take_away(store, "")
    assert store.partition.open() is None
    store.partition.close()
    assert set(Sync(store.partition._path).all()) == set(keys)


def test_a_directory_that_cannot_be_made_again_is_a_failure_until_it_can(store: Sync) -> None:
    keys = keys_of(store.put(*map(an_entry, range(3))))
    parent = store.partition._path.parent
    shutil.rmtree(parent)
    parent.touch()
    store.clock.now += module.LOOK
    assert isinstance(store.put(an_entry(4)), Failure)
    assert store.partition.figures.failure is not None
    parent.unlink()
    store.clock.now += module.PAUSE
    more = keys_of(store.put(an_entry(5)))
    store.settle()
    assert set(store.all()) == {*keys, *more}
