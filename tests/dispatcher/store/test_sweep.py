from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dispatcher.store.support import NOW, an_entry
from tubepost_dispatcher.store import sweep as module
from tubepost_dispatcher.store.database import Database
from tubepost_dispatcher.store.port import Kept
from tubepost_dispatcher.store.sweep import Sweep
from tubepost_dispatcher.store.taken import Taken


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "queue.db")
    yield made
    made.abandon()


def fill(database: Database, lanes: int, each: int) -> None:
    with database.transaction():
        database.write(
            [
                Kept(lane * 100 + number, an_entry(number, due=NOW)._replace(lane=lane, expires=NOW + number))
                for lane in range(lanes)
                for number in range(each)
            ]
        )


def rounds(database: Database, taken: Taken, now: float, limit: int, steps: int) -> list[int]:
    walk = Sweep()
    return [key for _ in range(steps) for key in walk.step(database, taken, now, limit)]


@pytest.mark.parametrize(("looked_at", "limit"), [(3, 100), (1, 1), (1_000, 2), (1_000, 100)])
def test_all_are_found_however_small_the_steps_are(
    database: Database, monkeypatch: pytest.MonkeyPatch, looked_at: int, limit: int
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", looked_at)
    fill(database, lanes=4, each=9)
    found = rounds(database, Taken(), NOW + 3, limit, 80)
    assert set(found) == {lane * 100 + number for lane in range(4) for number in range(4)}


def test_what_is_taken_is_left_out(database: Database) -> None:
    fill(database, lanes=2, each=3)
    taken = Taken()
    taken.add([0, 101])
    assert rounds(database, taken, NOW + 9, 100, 1) == [1, 2, 100, 102]


def test_a_walk_starts_anew_and_an_empty_queue_is_no_trouble(database: Database) -> None:
    walk = Sweep()
    assert walk.step(database, Taken(), NOW, 9) == []
    fill(database, lanes=2, each=1)
    assert walk.step(database, Taken(), NOW, 9) == [0, 100]
    assert walk.step(database, Taken(), NOW, 9) == [0, 100]
