from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.loop import FakeLoop
from tubepost_api.config_logger import FileSink as FileSinkConfig
from tubepost_dispatcher.feeds import sinks
from tubepost_dispatcher.feeds.file_sink import ROTATION_RETRY, FileSink

Make = Callable[..., FileSink]


class Losses:
    failed = 0
    lost = 0


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "apn.log"


@pytest.fixture
def make(loop: FakeLoop, losses: Losses, path: Path) -> Iterator[Make]:
    made: list[FileSink] = []

    def on_failed(lines: int) -> None:
        losses.failed += lines

    def on_lost(lines: int) -> None:
        losses.lost += lines

    def build(
        where: Path | str = path, *, mode: int = 0o644, max_size: int = 0, max_files: int = 3
    ) -> FileSink:
        config = FileSinkConfig(path=str(where), mode=mode, max_size=max_size, max_files=max_files)
        made.append(FileSink("log", loop, on_failed, on_lost, config))
        return made[-1]

    yield build
    for sink in made:
        sink.close()


def fill(sink: FileSink, loop: FakeLoop, numbers: range) -> None:
    """Lines of ten bytes, one a turn."""
    for number in numbers:
        sink.write(b"line %04d\n" % number)
        loop.turn()


def lines_of(*paths: Path) -> list[int]:
    return [int(line.split()[1]) for path in paths for line in path.read_text().splitlines()]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o640])
def test_a_new_file_has_exactly_its_mode(make: Make, path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        make(mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_that_exists_is_appended_to_and_keeps_its_mode(make: Make, path: Path, loop: FakeLoop) -> None:
    path.write_bytes(b"line 0000\n")
    path.chmod(0o600)
    sink = make(mode=0o644)
    fill(sink, loop, range(1, 3))
    assert lines_of(path) == [0, 1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rotation_by_size_keeps_the_newest(make: Make, path: Path, loop: FakeLoop, tmp_path: Path) -> None:
    sink = make(max_size=50, max_files=3)
    fill(sink, loop, range(23))
    rotated = [tmp_path / f"apn.log.{number}" for number in (3, 2, 1)]
    assert lines_of(*rotated, path) == list(range(5, 23))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "apn.log",
        "apn.log.1",
        "apn.log.2",
        "apn.log.3",
    ]
    assert all(entry.stat().st_size <= 50 for entry in tmp_path.iterdir())


def test_a_burst_is_cut_at_line_ends_to_fit(make: Make, path: Path, loop: FakeLoop, tmp_path: Path) -> None:
    sink = make(max_size=50, max_files=10)
    for number in range(23):
        sink.write(b"line %04d\n" % number)
    loop.turn()
    rotated = [tmp_path / f"apn.log.{number}" for number in (4, 3, 2, 1)]
    assert lines_of(*rotated, path) == list(range(23))
    assert all(entry.stat().st_size <= 50 for entry in tmp_path.iterdir())


def test_a_line_larger_than_a_file_has_a_file_of_its_own(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make(max_size=20)
    sink.write(b"short\n")
    loop.turn()
    sink.write(b"x" * 100 + b"\n")
    loop.turn()
    assert path.read_bytes() == b"x" * 100 + b"\n"
    assert Path(f"{path}.1").read_bytes() == b"short\n"


def test_the_rotated_file_gets_a_successor_with_the_mode(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make(max_size=10, mode=0o640)
    before = os.umask(0o077)
    try:
        fill(sink, loop, range(2))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_fewer_files_than_before(make: Make, path: Path, loop: FakeLoop, tmp_path: Path) -> None:
    sink = make(max_size=10, max_files=5)
    fill(sink, loop, range(10))
    sink.adopt(FileSinkConfig(path=str(path), max_size=10, max_files=2))
    fill(sink, loop, range(10, 11))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["apn.log", "apn.log.1", "apn.log.2"]
    assert lines_of(path) == [10]
    sink.adopt(FileSinkConfig(path=str(path), max_size=10, max_files=0))
    fill(sink, loop, range(11, 12))
    assert [entry.name for entry in tmp_path.iterdir()] == ["apn.log"]


def test_no_rotation_where_somebody_else_rotates(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make(max_size=0)
    fill(sink, loop, range(50))
    assert lines_of(path) == list(range(50))


def test_reopen_after_something_else_renamed_the_file(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make()
    fill(sink, loop, range(2))
    old = path.rename(f"{path}.old")
    fill(sink, loop, range(2, 4))
    sink.write(b"line 0004\n")
    sink.reopen()
    fill(sink, loop, range(5, 7))
    assert lines_of(old) == [0, 1, 2, 3, 4]
    assert lines_of(path) == [5, 6]


def test_copytruncate_needs_no_reopen(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make()
    fill(sink, loop, range(2))
    os.truncate(path, 0)
    fill(sink, loop, range(2, 3))
    assert path.read_bytes() == b"line 0002\n"


def test_a_deleted_file_is_made_again(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make()
    fill(sink, loop, range(1))
    path.unlink()
    fill(sink, loop, range(1, 2))
    assert lines_of(path) == [1]


def test_a_missing_directory_is_a_problem_with_a_remedy_and_mends(
    make: Make, tmp_path: Path, loop: FakeLoop, losses: Losses, caplog: pytest.LogCaptureFixture
) -> None:
    where = tmp_path / "absent" / "apn.log"
    sink = make(where)
    assert "No such file or directory. Remedy: mount a volume at" in sink.problem
    fill(sink, loop, range(3))
    assert losses.failed == 0, "they are not due before the next attempt"
    loop.advance(1)
    assert losses.failed == 3
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1
    where.parent.mkdir()
    loop.advance(60)
    assert sink.problem == ""
    assert lines_of(where) == [0, 1, 2]
    assert losses.lost == 0


def test_a_problem_is_not_over_before_the_file_is_open(make: Make, tmp_path: Path, loop: FakeLoop) -> None:
    sink = make(tmp_path / "absent" / "apn.log")
    loop.advance(300)
    assert sink.problem


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOENT, "mount a volume"),
        (errno.EACCES, "writable for user"),
        (errno.EROFS, "writable volume"),
        (errno.ENOSPC, "make room"),
        (errno.EISDIR, "not a directory"),
        (errno.EIO, "look after the volume"),
    ],
)
def test_every_error_names_path_and_remedy(make: Make, path: Path, code: int, remedy: str) -> None:
    text = make()._explain(OSError(code, "x"))
    assert text.startswith(f"{path}: {os.strerror(code)}. Remedy: ")
    assert remedy in text


def test_a_directory_in_the_files_place(make: Make, tmp_path: Path) -> None:
    assert "Is a directory" in make(tmp_path).problem


def test_a_device_that_is_always_full(make: Make, loop: FakeLoop, losses: Losses) -> None:
    sink = make("/dev/full")
    fill(sink, loop, range(3))
    assert losses.failed == 1
    assert "No space left on device" in sink.problem
    loop.advance(60)
    assert losses.failed == 3
    sink.close()
    assert losses.lost == 3


def test_a_fifo_without_reader_does_not_block(make: Make, tmp_path: Path, loop: FakeLoop) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    sink = make(fifo)
    assert sink.problem
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fill(sink, loop, range(1))
        loop.advance(60)
        assert os.read(reader, 100) == b"line 0000\n"
    finally:
        os.close(reader)


def test_a_line_cut_by_a_full_disk_is_whole_in_the_next_file(
    make: Make, path: Path, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make()
    real = os.write
    script: list[Callable[[int, bytes], int]] = [lambda fd, data: real(fd, data[:4]), full]

    def write(fd: int, data: bytes) -> int:
        return script.pop(0)(fd, data) if script else real(fd, data)

    monkeypatch.setattr(sinks.os, "write", write)
    sink.write(b"line 0000\n")
    loop.turn()
    assert path.read_bytes() == b"line"
    path.rename(f"{path}.old")
    script.append(full)  # what reopen flushes first fails once more
    sink.reopen()
    loop.advance(60)
    assert path.read_bytes() == b"line 0000\n"


def test_a_line_cut_by_a_full_disk_is_completed_in_the_same_file(
    make: Make, path: Path, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make(max_size=8)
    real = os.write
    script: list[Callable[[int, bytes], int]] = [lambda fd, data: real(fd, data[:4]), full]

    def write(fd: int, data: bytes) -> int:
        return script.pop(0)(fd, data) if script else real(fd, data)

    monkeypatch.setattr(sinks.os, "write", write)
    sink.write(b"line 0000\n")
    sink.write(b"line 0001\n")
    loop.advance(60)
    assert Path(f"{path}.1").read_bytes() == b"line 0000\n"
    assert path.read_bytes() == b"line 0001\n"


def full(fd: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_cannot_be_renamed_grows_and_is_reported(
    make: Make,
    path: Path,
    loop: FakeLoop,
    losses: Losses,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Path, target: str) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    sink = make(max_size=20)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        fill(sink, loop, range(10))
    assert lines_of(path) == list(range(10))
    assert losses.failed == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "cannot be rotated" in caplog.text
    loop.advance(ROTATION_RETRY)
    fill(sink, loop, range(10, 11))
    assert lines_of(path) == [10]


def test_a_rotation_by_another_process_is_followed(make: Make, path: Path, loop: FakeLoop) -> None:
    one, other = make(max_size=50), make(max_size=50)
    fill(one, loop, range(5))
    fill(other, loop, range(5, 6))  # rotates
    fill(one, loop, range(6, 8))  # finds that out
    assert lines_of(Path(f"{path}.1"), path) == list(range(8))


def test_nobody_rotates_while_another_process_does(make: Make, path: Path, loop: FakeLoop) -> None:
    sink = make(max_size=20)
    fill(sink, loop, range(2))
    holder = os.open(path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    fill(sink, loop, range(2, 4))
    assert lines_of(path) == [0, 1, 2, 3]
    os.close(holder)
    fill(sink, loop, range(4, 5))
    assert lines_of(path) == [4]


ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from tests.support.loop import FakeLoop
from tubepost_api.config_logger import FileSink as FileSinkConfig
from tubepost_dispatcher.feeds.file_sink import FileSink

path, writer, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
loop, problems = FakeLoop(), []
config = FileSinkConfig(path=path, max_size=4000, max_files=100)
sink = FileSink("log", loop, problems.append, problems.append, config)
for number in range(count):
    sink.write(f"{writer} {number:06d}\\n".encode())
    loop.turn()
sink.close()
sys.exit(1 if sum(problems) else 0)
"""


def test_processes_that_share_a_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shared.log"
    count = 3000
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(index), str(count)], cwd=ROOT)
        for index in range(3)
    ]
    for writer in writers:
        assert writer.wait(30) == 0
    seen: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    total = 0
    for file in tmp_path.iterdir():
        for line in file.read_text().splitlines():
            writer_text, number = line.split()
            seen[int(writer_text)].add(int(number))
            total += 1
    assert total == 3 * count
    assert all(numbers == set(range(count)) for numbers in seen.values())
    assert len(list(tmp_path.iterdir())) > 5
