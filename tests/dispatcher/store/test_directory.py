from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tubepost_dispatcher.store.directory import FILE, Directory
from tubepost_dispatcher.store.port import FailureKind
from tubepost_dispatcher.store.trouble import Remedy, Trouble


def test_it_is_made_and_locked_with_the_owner_s_process_id(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "a" / "b")
    assert directory.database.parent.is_dir()
    with pytest.raises(Trouble) as caught:
        Directory(tmp_path / "a" / "b")
    assert caught.value.failure.kind is FailureKind.LOCKED
    assert f"process {os.getpid()}" in caught.value.failure.text
    directory.close()
    Directory(tmp_path / "a" / "b").close()


def test_a_database_moves_with_its_log_and_names_do_not_clash(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    for number in range(3):
        directory.database.write_text(f"db {number}")
        directory.database.with_name(FILE + "-wal").write_text(f"log {number}")
        directory.set_aside()
        assert list(directory.database.parent.iterdir()) == []
        aside = directory.to_salvage()
        assert aside is not None
        assert sorted(file.read_text() for file in aside.iterdir()) == [f"db {number}", f"log {number}"]
    assert directory.set_aside_count() == 3
    directory.close()


def test_starting_over_leaves_nothing(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.database.write_text("db")
    directory.start_over()
    assert list(directory.database.parent.iterdir()) == []
    assert directory.set_aside_count() == 0
    directory.close()


def test_what_was_set_aside_is_kept_or_discarded(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    for keep in (True, False):
        directory.database.write_text("db")
        directory.set_aside()
        aside = directory.to_salvage()
        assert aside is not None
        (directory.keep if keep else directory.discard)(aside)
        assert directory.to_salvage() is None
        assert directory.set_aside_count() == 1
    directory.close()


def test_what_a_crash_left_of_a_discarded_one_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "saved-1").mkdir()
    (tmp_path / "saved-1" / FILE).write_text("db")
    Directory(tmp_path).close()
    assert not (tmp_path / "saved-1").exists()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EROFS, FailureKind.READ_ONLY),
        (errno.EACCES, FailureKind.READ_ONLY),
        (errno.ENOSPC, FailureKind.FULL),
        (errno.EDQUOT, FailureKind.FULL),
        (errno.EIO, FailureKind.FAILED),
    ],
)
def test_each_error_of_the_system_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: FailureKind
) -> None:
    directory = Directory(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr(os, "statvfs", fail)
    with pytest.raises(Trouble) as caught:
        directory.free()
    assert caught.value.failure.kind is kind
    assert "somewhere" in caught.value.failure.text
    directory.close()


@pytest.mark.parametrize(
    ("gone", "remedy"),
    [
        ("current/queue.db", Remedy.REPLACE),
        ("current", Remedy.REPLACE),
        ("", Remedy.REPLACE),
        ("lock", Remedy.REOPEN),
        ("current/queue.db-wal", Remedy.REOPEN),
    ],
)
@pytest.mark.parametrize("another", [False, True])
def test_a_file_in_use_that_is_not_there_any_more_is_noticed(
    tmp_path: Path, gone: str, remedy: Remedy, another: bool
) -> None:
    directory = Directory(tmp_path / "p")
    for name in ("queue.db", "queue.db-wal"):
        (directory.path / "current" / name).touch()
    directory.check()
    directory.opened()
    directory.check()
    (directory.path / gone).rename(tmp_path / "moved")
    if another:
        shutil.copytree(tmp_path / "moved", directory.path / gone) if (tmp_path / "moved").is_dir() else (
            directory.path / gone
        ).touch()
    with pytest.raises(Trouble, match="deleted or moved while it was in use") as caught:
        directory.check()
    assert caught.value.remedy is remedy
    directory.close()
