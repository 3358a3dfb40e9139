"""What a partition does when its disk fails: an outcome for each, and nothing lost that was acknowledged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import apsw
import pytest

from tests.dispatcher.store.support import NOW, Disk, Sync, an_entry, copy, failing
from tubepost_dispatcher.store import partition as module
from tubepost_dispatcher.store.port import Failure, FailureKind, Filter, Page
from tubepost_dispatcher.store.schema import APPLICATION


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store(tmp_path: Path, disk: Disk) -> Sync:
    return Sync(tmp_path / "p", disk)


def keys_of(answer: list[int] | Failure) -> list[int]:
    assert isinstance(answer, list), answer
    return answer


def kind_of(answer: object) -> FailureKind:
    assert isinstance(answer, Failure), answer
    assert answer.text
    return answer.kind


def set_aside(store: Sync, prefix: str) -> list[Path]:
    return [found for found in store.partition._path.iterdir() if found.name.startswith(prefix)]


def test_puts_that_wait_together_are_one_commit_and_one_sync(store: Sync, disk: Disk) -> None:
    store.put(an_entry(0))
    before, commits = disk.syncs, store.partition.figures.commits
    answers = store.puts(*([an_entry(number)] for number in range(1, 51)))
    assert all(isinstance(answer, list) for answer in answers)
    assert disk.syncs == before + 1
    assert store.partition.figures.commits == commits + 1


def test_no_answer_before_the_sync(store: Sync, disk: Disk) -> None:
    store.put(an_entry(0))
    order: list[str] = []
    disk.on_sync = lambda path: order.append("sync" if path.endswith("-wal") else path)
    store.partition.write(
        [module.Put([an_entry(1)], lambda _: None, True)], (), (), lambda _: order.append("told")
    )
    assert order == ["sync", "told"]


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_failed_sync_is_no_yes_and_everything_else_survives(store: Sync, disk: Disk, times: int) -> None:
    kept = keys_of(store.put(*map(an_entry, range(700))))
    ended = keys_of(store.put(an_entry(900)))[0]
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, only="-wal", times=times)
    refused = [store.put(an_entry(1_000))]
    while isinstance(refused[-1], Failure):
        store.clock.now += 2.0
        refused.append(store.put(an_entry(1_000 + len(refused))))
    assert len(refused) >= 2
    assert kind_of(refused[0]) is FailureKind.FAILED
    store.ended(ended)
    store.settle()
    present = store.all()
    assert set(present) == {*kept, *keys_of(refused[-1])}
    assert store.partition.figures.failure is None
    assert set_aside(store, "quarantined") == set_aside(store, "damaged") == []
    store.partition.close()
    assert set(Sync(store.partition._path).all()) == set(present)


def test_a_disk_that_keeps_failing_does_not_pile_up_files(store: Sync, disk: Disk) -> None:
    kept = keys_of(store.put(*map(an_entry, range(20))))
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC)
    for number in range(100, 130):
        kind_of(store.put(an_entry(number)))
        store.clock.now += 2.0
        store.partition.idle()
    assert len(set_aside(store, "quarantined")) == 1
    disk.on_sync = lambda _: None
    store.settle()
    assert list(store.all()) == kept


def test_after_a_failed_sync_the_same_file_is_not_written_to_again(
    store: Sync, disk: Disk, tmp_path: Path
) -> None:
    store.put(an_entry(1))
    inode = (tmp_path / "p" / "current" / "queue.db").stat().st_ino
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, times=1)
    assert kind_of(store.put(an_entry(2))) is FailureKind.FAILED
    assert set_aside(store, "quarantined")
    store.put(an_entry(3))
    assert (tmp_path / "p" / "current" / "queue.db").stat().st_ino != inode


@pytest.mark.pure
def test_a_checkpoint_that_fails_sets_the_file_aside_and_loses_nothing(
    store: Sync, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_PAGES", 1)
    kept = keys_of(store.put(*map(an_entry, range(20))))
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, only="queue.db", times=1)
    store.partition.tidy()
    assert store.partition.figures.failure is not None
    store.settle()
    assert list(store.all()) == kept
    assert store.partition.figures.failure is None
    store.partition.tidy()
    assert store.partition.figures.checkpoints == 1


def test_what_ends_during_a_salvage_does_not_come_back_after_a_crash(store: Sync, disk: Disk) -> None:
    kept = keys_of(store.put(*map(an_entry, range(1_200))))
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, times=1)
    assert kind_of(store.put(an_entry(5_000))) is FailureKind.FAILED
    store.partition.idle()  # opens a fresh one, and saves 500
    store.ended(kept[10], kept[1_100])
    store.again(kept[1_150], an_entry(1_150, due=NOW + 5, attempt=7))
    store.drop_dead()
    after = Sync(store.partition._path, disk)
    assert after.partition.open() is None
    after.settle()
    present = after.all()
    assert set(present) == set(kept) - {kept[10], kept[1_100]}
    assert present[kept[1_150]].attempt == 7


@pytest.mark.parametrize("in_the_middle", [False, True])
def test_a_full_volume_refuses_and_recovers_by_itself(store: Sync, disk: Disk, in_the_middle: bool) -> None:
    (key,) = keys_of(store.put(an_entry(1)))
    skip = 3 if in_the_middle else 0
    fail = failing(apsw.FullError, apsw.SQLITE_FULL)

    def full(path: str) -> None:
        nonlocal skip
        skip -= 1
        if skip < 0:
            fail(path)

    disk.on_write = full
    for _ in range(3):
        assert kind_of(store.put(*map(an_entry, range(50)))) is FailureKind.FULL
    assert store.partition.figures.failure is not None
    assert list(store.all()) == [key]
    store.ended(key)
    disk.on_write = lambda _: None
    store.settle()
    assert store.all() == {}
    keys_of(store.put(an_entry(2)))
    assert store.partition.figures.failure is None
    assert store.partition.figures.quarantined == 0


def test_below_the_reserve_nothing_is_taken_but_what_ended_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 1_000
    monkeypatch.setattr("tubepost_dispatcher.store.directory.Directory.free", lambda _: free)
    store = Sync(tmp_path / "p", reserve=1_000)
    (key,) = keys_of(store.put(an_entry(1)))
    free = 999
    store.clock.now += module.LOOK
    assert kind_of(store.put(an_entry(2))) is FailureKind.FULL
    store.ended(key)
    assert store.all() == {}
    free = 1_000
    store.settle()
    assert store.partition.figures.failure is None
    keys_of(store.put(an_entry(3)))


def test_a_read_only_database_refuses_until_it_can_be_written_to(store: Sync, disk: Disk) -> None:
    (key,) = keys_of(store.put(an_entry(1)))
    disk.on_write = failing(apsw.ReadOnlyError, apsw.SQLITE_READONLY)
    assert kind_of(store.put(an_entry(2))) is FailureKind.READ_ONLY
    assert kind_of(store.put(an_entry(3))) is FailureKind.READ_ONLY
    store.ended(key)
    disk.on_write = lambda _: None
    store.clock.now += 2.0
    keys_of(store.put(an_entry(4)))
    assert [one.message_id for one in store.all().values()] == ["m4"]


def test_a_directory_that_cannot_be_made_is_a_failure_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("in the way")
    store = Sync(tmp_path / "p")
    assert isinstance(store.put(an_entry(1)), Failure)
    assert isinstance(store.partition.due(NOW, 1), Failure)
    (tmp_path / "p").unlink()
    assert isinstance(store.put(an_entry(1)), Failure), "looks again after a pause"
    store.clock.now += 2.0
    keys_of(store.put(an_entry(1)))


def test_a_second_owner_is_told_who_the_first_is_and_takes_over_after_it(store: Sync) -> None:
    import os

    keys = keys_of(store.put(an_entry(1)))
    second = Sync(store.partition._path)
    answer = second.put(an_entry(2))
    assert kind_of(answer) is FailureKind.LOCKED
    assert isinstance(answer, Failure)
    assert f"process {os.getpid()}" in answer.text
    keys_of(store.put(an_entry(3)))
    store.drop_dead()
    second.settle()
    assert second.partition.figures.failure is None
    assert len(second.all()) == 2
    assert keys[0] in second.all()


def test_a_database_that_another_program_has_locked_is_a_failure_until_it_lets_go(store: Sync) -> None:
    keys_of(store.put(an_entry(1)))
    store.partition.close()
    # As that program has it: in a process of its own, since record locks are a process'.
    import subprocess
    import sys

    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('PRAGMA locking_mode=EXCLUSIVE'); db.execute('BEGIN IMMEDIATE');"
        "db.execute('CREATE TABLE other(x)'); print('locked', flush=True); sys.stdin.read()"
    )
    path = str(store.partition._path / "current" / "queue.db")
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        second = Sync(store.partition._path)
        assert kind_of(second.put(an_entry(2))) is FailureKind.LOCKED
        other.kill()
    second.clock.now += 2.0
    keys_of(second.put(an_entry(2)))
    assert len(second.all()) == 2


def test_a_later_release_s_file_is_left_alone_and_refused_in_words(store: Sync) -> None:
    keys_of(store.put(an_entry(1)))
    store.partition.close()
    path = store.partition._path / "current" / "queue.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 3")
    db.close()
    second = Sync(store.partition._path)
    answer = second.put(an_entry(2))
    assert kind_of(answer) is FailureKind.NEWER
    assert isinstance(answer, Failure)
    assert "schema 3" in answer.text
    assert second.partition.figures.quarantined == 0
    assert path.exists()
    second.drop_dead()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM queue").fetchone() == (1,)
        db.execute("PRAGMA user_version = 2")
    db.close()
    assert len(Sync(store.partition._path).all()) == 1


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 500, b"\0" * 5_000, b"SQLite format 3\0" + b"\7" * 4_080]
)
def test_a_file_that_is_no_database_is_set_aside_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p" / "current").mkdir(parents=True)
    (tmp_path / "p" / "current" / "queue.db").write_bytes(content)
    store = Sync(tmp_path / "p")
    (key,) = keys_of(store.put(an_entry(1)))
    store.settle()
    assert list(store.all()) == [key]
    assert store.partition.figures.quarantined == 1
    (kept,) = set_aside(store, "damaged")
    assert (kept / "queue.db").read_bytes()[:10] == content[:10]


def test_another_application_s_database_is_set_aside_and_kept(tmp_path: Path) -> None:
    (tmp_path / "p" / "current").mkdir(parents=True)
    with sqlite3.connect(tmp_path / "p" / "current" / "queue.db") as db:
        db.execute("CREATE TABLE mine(x)")
    db.close()
    store = Sync(tmp_path / "p")
    keys_of(store.put(an_entry(1)))
    store.settle()
    assert len(set_aside(store, "damaged")) == 1


def test_half_a_file_gives_back_what_can_be_read(store: Sync) -> None:
    kept = keys_of(store.put(*map(an_entry, range(400)), take=False))
    store.partition.close()
    path = store.partition._path / "current" / "queue.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    after = Sync(store.partition._path)
    (new,) = keys_of(after.put(an_entry(3_000)))
    page = after.partition.page(Filter(), None, 5_000)
    while isinstance(page, Failure):
        after.settle()
        page = after.partition.page(Filter(), None, 5_000)
    after.settle()
    present = after.all()
    assert new in present
    assert set(present) <= {*kept, new}
    assert len(present) > 100
    assert len(set_aside(after, "damaged")) == 1
    assert after.partition.figures.quarantined == 1


def test_every_flipped_byte_is_found_or_harmless(store: Sync, tmp_path: Path) -> None:
    entries = {key: an_entry(n) for n, key in enumerate(keys_of(store.put(*map(an_entry, range(40)))))}
    store.partition.close()
    size = (tmp_path / "p" / "current" / "queue.db").stat().st_size
    lost = []
    for number, place in enumerate(range(50, size, size // 60)):
        path = copy(tmp_path / "p", tmp_path / f"flipped{number}")
        with (path / "current" / "queue.db").open("r+b") as file:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 0x10]))
        after = Sync(path)
        after.partition.open()
        found: Page | Failure = after.partition.page(Filter(), None, 5_000)
        after.settle()
        found = after.partition.page(Filter(), None, 5_000)
        assert isinstance(found, Page), (place, found)
        for one in found.kept:
            # Never something else than what was acknowledged.
            assert one.entry.body == entries[one.key].body, place
        lost.append(len(entries) - len(found.kept))
        if lost[-1]:
            assert after.partition.figures.quarantined or after.partition.figures.damaged, place
        keys_of(after.put(an_entry(99)))
        after.drop_dead()
    assert sum(1 for count in lost if count <= 8) > len(lost) * 0.8, lost


def test_half_a_record_in_the_log_is_not_there(store: Sync, tmp_path: Path) -> None:
    first = keys_of(store.put(an_entry(1)))
    log = tmp_path / "p" / "current" / "queue.db-wal"
    size = log.stat().st_size
    store.put(an_entry(2))
    store.drop_dead()
    with log.open("r+b") as file:
        file.truncate(size + 2_000)
    after = Sync(tmp_path / "p")
    assert list(after.all()) == first


def test_a_read_that_fails_sets_the_file_aside(store: Sync, disk: Disk) -> None:
    keys = keys_of(store.put(*map(an_entry, range(2_000)), take=False))
    store.partition.close()
    after = Sync(store.partition._path, disk)
    assert after.partition.open() is None
    disk.on_read = failing(apsw.IOError, apsw.SQLITE_IOERR_READ, only="queue.db", times=1)
    assert kind_of(after.partition.due(NOW, 5_000)) is FailureKind.FAILED
    after.settle()
    found = after.partition.due(NOW, 5_000)
    assert not isinstance(found, Failure)
    assert [one.key for one in found] == keys


def test_keys_are_not_given_twice_whatever_the_clock_says(tmp_path: Path, disk: Disk) -> None:
    wall = NOW
    store = Sync(tmp_path / "p", disk, wall=lambda: wall)
    first = keys_of(store.put(*map(an_entry, range(3))))
    wall -= 1_000.0
    store.partition.close()
    second = Sync(tmp_path / "p", disk, wall=lambda: wall)
    later = keys_of(second.put(an_entry(4)))
    disk.on_sync = failing(apsw.IOError, apsw.SQLITE_IOERR_FSYNC, times=1)
    assert isinstance(second.put(an_entry(5)), Failure)
    latest = keys_of(second.put(an_entry(6)))
    second.settle()
    assert len({*first, *later, *latest}) == 5
    assert set(second.all()) == {*first, *later, *latest}


def test_the_file_is_marked_as_ours(store: Sync, tmp_path: Path) -> None:
    store.put(an_entry(1))
    store.partition.close()
    db = sqlite3.connect(tmp_path / "p" / "current" / "queue.db")
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
