from __future__ import annotations

from pathlib import Path

import pytest

from tests.dispatcher.store.support import Sync, an_entry, copy
from tubepost_dispatcher.store.log import lost_commits

HEADER, FRAME = 32, 24 + 4_096


def written(path: Path, commits: int) -> tuple[list[int], Path]:
    """A partition whose process died, and its log."""
    store = Sync(path)
    keys: list[int] = []
    for number in range(commits):
        answer = store.put(an_entry(number))
        assert isinstance(answer, list)
        keys += answer
    store.drop_dead()
    return keys, path / "current" / "queue.db-wal"


def flip(log: Path, place: int) -> None:
    content = bytearray(log.read_bytes())
    content[place] ^= 0x20
    log.write_bytes(content)


def test_a_sound_log_has_lost_nothing(tmp_path: Path) -> None:
    keys, log = written(tmp_path / "p", 20)
    frames = (log.stat().st_size - HEADER) // FRAME
    assert lost_commits(log.with_name("queue.db"), frames) == 0
    assert set(Sync(tmp_path / "p").all()) == set(keys)
    assert lost_commits(tmp_path / "none", 0) == 0
    (tmp_path / "empty-wal").touch()
    assert lost_commits(tmp_path / "empty", 0) == 0


def test_commits_behind_what_was_read_are_counted_but_for_the_one_that_a_crash_leaves(tmp_path: Path) -> None:
    keys, log = written(tmp_path / "p", 20)
    frames = (log.stat().st_size - HEADER) // FRAME
    counts = [lost_commits(log.with_name("queue.db"), number) for number in range(frames + 1)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= len(keys)
    assert min(count for count in counts if count) == 2
    assert counts[-1] == 0


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_damaged_log_is_set_aside_and_kept_and_what_is_before_the_damage_is_saved(
    tmp_path: Path, part: float
) -> None:
    keys, log = written(tmp_path / "p", 40)
    frames = (log.stat().st_size - HEADER) // FRAME
    flip(log, HEADER + int(frames * part) * FRAME + 100)
    after = Sync(tmp_path / "p")
    assert after.partition.open() is None
    after.settle()
    found = after.all()
    assert set(found) <= set(keys)
    assert list(found) == keys[: len(found)]
    assert len(found) >= int(40 * part) - 10
    assert after.partition.figures.quarantined == 1
    assert (next(log.parent.parent.glob("damaged-*")) / "queue.db-wal").exists()
    assert isinstance(after.put(an_entry(99)), list)


@pytest.mark.parametrize("place", [0, 3, 8, 11, 16, 20, 24, 31])
def test_a_damaged_header_of_a_log_is_found_too(tmp_path: Path, place: int) -> None:
    _, log = written(tmp_path / "p", 20)
    flip(log, place)
    after = Sync(tmp_path / "p")
    assert after.partition.open() is None
    after.settle()
    assert after.partition.figures.quarantined == 1


def test_what_is_left_of_the_time_before_the_log_began_anew_is_no_damage(tmp_path: Path) -> None:
    store = Sync(tmp_path / "p")
    for number in range(20):
        store.put(an_entry(number))
    database = store.partition._database
    assert database is not None
    database.checkpoint()
    store.put(an_entry(99))
    store.drop_dead()
    log = tmp_path / "p" / "current" / "queue.db-wal"
    assert log.stat().st_size > HEADER + 10 * FRAME
    for end in (HEADER, HEADER + FRAME):
        torn = copy(tmp_path / "p", tmp_path / f"torn-{end}")
        content = bytearray(log.read_bytes())
        content[end + 50] ^= 1  # of the one commit since then
        (torn / "current" / "queue.db-wal").write_bytes(content)
        after = Sync(torn)
        assert after.partition.open() is None
        assert after.partition.figures.quarantined == 0
        assert len(after.all()) in {20, 21}


def test_what_cannot_be_looked_at_is_left_to_sqlite(tmp_path: Path) -> None:
    (tmp_path / "queue.db-wal").mkdir()
    assert lost_commits(tmp_path / "queue.db", 0) == 0
