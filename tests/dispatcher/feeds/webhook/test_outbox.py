from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.feeds.webhook import outbox as module
from tubepost_dispatcher.feeds.webhook.outbox import SUFFIX, Outbox, read_lines, tell_abandoned

PLENTY = 2**30


class Failures:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, count: int) -> None:
        self.count += count


@pytest.fixture
def failures() -> Failures:
    return Failures()


def lines(*numbers: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in numbers]


def append(outbox: Outbox, *numbers: int) -> None:
    for line in lines(*numbers):
        outbox.append(line)
    outbox.sync()


def left(directory: Path) -> list[bytes]:
    """What a successor takes over, file by file."""
    successor, found = Outbox(directory, Failures()), []
    while orphans := successor.orphans(PLENTY):
        found += orphans.lines
        successor.release(orphans)
    successor.close()
    return found


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{SUFFIX}")) if directory.exists() else []


def test_what_is_not_done_with_is_the_successors(tmp_path: Path, failures: Failures) -> None:
    outbox = Outbox(tmp_path / "feed", failures)
    append(outbox, 1, 2, 3)
    assert left(tmp_path / "feed") == [], "its owner lives"
    outbox.floor = 1
    append(outbox, 4)
    outbox.close()
    assert left(tmp_path / "feed") == lines(2, 3, 4)
    assert files(tmp_path / "feed") == []
    assert failures.count == 0


def test_without_an_event_nothing_is_made_and_with_none_left_nothing_stays(
    tmp_path: Path, failures: Failures
) -> None:
    outbox = Outbox(tmp_path / "feed", failures)
    outbox.sync()
    outbox.close()
    assert not (tmp_path / "feed").exists()
    outbox = Outbox(tmp_path / "feed", failures)
    append(outbox, 1)
    outbox.floor = 1
    outbox.close()
    assert not (tmp_path / "feed").exists()


def test_files_go_when_all_of_them_is_done_with(tmp_path: Path, failures: Failures) -> None:
    outbox = Outbox(tmp_path, failures, file_size=20)
    for number in range(8):
        append(outbox, number)
    assert len(files(tmp_path)) == 4
    outbox.floor = 3
    outbox.sync()
    assert len(files(tmp_path)) == 3
    outbox.floor = 8
    outbox.sync()
    (last,) = files(tmp_path)
    assert last.stat().st_size == 0
    append(outbox, 8)
    outbox.close()
    assert left(tmp_path) == lines(8)


def test_a_killed_process_leaves_what_it_has_synced(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tubepost_dispatcher.feeds.webhook.outbox import Outbox\n"
        "o = Outbox(Path(sys.argv[1]), print)\n"
        "for n in range(5): o.append(b'{\"n\":%d}' % n)\n"
        "o.floor = 2\no.sync()\no.append(b'{\"n\":5}')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode < 0
    assert left(tmp_path) == lines(2, 3, 4)


def test_only_one_of_several_takes_a_file_over_and_none_that_is_too_large(
    tmp_path: Path, failures: Failures
) -> None:
    outbox = Outbox(tmp_path, failures)
    append(outbox, 1, 2)
    outbox.close()
    one, other = Outbox(tmp_path, failures), Outbox(tmp_path, failures)
    assert one.orphans(3) is None
    taken = one.orphans(PLENTY)
    assert taken is not None
    assert other.orphans(PLENTY) is None
    one.release(taken)
    assert other.orphans(PLENTY) is None


def test_a_file_that_is_removed_under_its_maker_is_made_anew(
    tmp_path: Path, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who looks for orphans locks the new file first, and removes it since it is empty."""
    real, calls = module._locked, []

    def locked(descriptor: int) -> bool:
        if not calls:
            calls.append(descriptor)
            for path in files(tmp_path):
                path.unlink()
        return real(descriptor)

    monkeypatch.setattr(module, "_locked", locked)
    outbox = Outbox(tmp_path, failures)
    append(outbox, 1)
    outbox.close()
    assert calls
    assert left(tmp_path) == lines(1)


def test_a_failing_disk_is_told_once_and_events_are_counted(
    tmp_path: Path, failures: Failures, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(tmp_path, failures)
    append(outbox, 1)
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fdatasync", _fails)
        for number in range(2, 22):
            append(outbox, number)
        assert len(files(tmp_path)) <= 2, "they do not pile up while a disk fails"
    assert failures.count == 20
    assert outbox.problem.endswith(os.strerror(errno.EIO))
    append(outbox, 22)
    assert outbox.problem == ""
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    outbox.floor = 1
    outbox.sync()
    outbox.floor = 21
    outbox.close()
    assert set(lines(22)) <= set(left(tmp_path)) <= set(lines(*range(2, 23))), "what failed may be there, too"


def _fails(descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_the_last_of_a_volume_is_the_queues(
    tmp_path: Path, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=4096))
    outbox = Outbox(tmp_path, failures)
    append(outbox, 1)
    assert (failures.count, left(tmp_path)) == (1, [])
    assert "the queue needs what is left" in outbox.problem


def test_a_sync_in_another_thread_is_waited_for(
    tmp_path: Path, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        begun.set()
        assert go_on.wait(20)

    monkeypatch.setattr(module.os, "fdatasync", slow)
    outbox = Outbox(tmp_path, failures)
    outbox.append(b"{}")
    first = threading.Thread(target=outbox.sync)
    first.start()
    assert begun.wait(20)

    def second() -> None:
        outbox.sync()
        over.set()

    other = threading.Thread(target=second)
    other.start()
    assert not over.wait(0.05), "what it was asked for is not durable yet"
    go_on.set()
    assert over.wait(20)
    first.join()
    other.join()


@given(st.lists(st.integers(0, 9), max_size=5), st.integers(0, 7), st.binary(max_size=20))
def test_a_file_reads_as_far_as_it_is_whole(numbers: list[int], done: int, torn: bytes) -> None:
    whole = b"".join(line + b"\n" for line in lines(*numbers))
    told = b"-%d\n" % done if done else b""
    good, unreadable = read_lines(whole + told + torn.replace(b"\n", b""))
    assert good == lines(*numbers)[done:]
    assert unreadable == 0


@given(st.binary(max_size=100))
def test_whatever_is_in_a_file_reading_it_ends(data: bytes) -> None:
    good, unreadable = read_lines(data)
    assert len(good) + unreadable <= data.count(b"\n")


def test_a_damaged_line_is_counted_and_the_others_are_read() -> None:
    assert read_lines(b'{"n":1}\n{"n"\x00\n[]\n{"n":2}\n') == (lines(1, 2), 2)
    assert read_lines(b'{"n":1}\nrubbish\n{"n":2}\n-2\n') == (lines(2), 0)


def test_events_of_a_logger_that_is_no_more_are_told_of_and_kept(
    tmp_path: Path, failures: Failures, caplog: pytest.LogCaptureFixture
) -> None:
    tell_abandoned(tmp_path / "none", ())
    outbox = Outbox(tmp_path / "gone", failures)
    append(outbox, 1)
    outbox.close()
    (tmp_path / "empty").mkdir()
    tell_abandoned(tmp_path, {"gone"})
    assert caplog.records == []
    tell_abandoned(tmp_path, {"feed"})
    (record,) = caplog.records
    assert "8 bytes of events" in record.getMessage()
    assert left(tmp_path / "gone") == lines(1)
