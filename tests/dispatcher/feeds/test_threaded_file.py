"""A log file whose disk may stand still: the event loop goes on, and what was written is right all the same."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.supervisor.conftest import eventually
from tubepost_api.config_logger import FileSink as FileSinkConfig
from tubepost_dispatcher.feeds import sinks
from tubepost_dispatcher.feeds import threaded_file as module
from tubepost_dispatcher.feeds.threaded_file import ThreadedFileSink

PATIENCE = 60.0


class Disk(ThreadedFileSink):
    """A sink whose disk can be stopped; `threads` are those in which it was waited for."""

    def __init__(self, *arguments: Any, moves: threading.Event, **options: Any) -> None:
        self.moves = moves
        self.reached = threading.Event()
        self.threads: set[int] = set()
        super().__init__(*arguments, **options)

    def _prepare(self, size: int) -> None:
        self.threads.add(threading.get_ident())
        self.reached.set()
        assert self.moves.wait(PATIENCE)
        super()._prepare(size)


class Bench:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed = self.lost = 0
        self.moves = threading.Event()
        self.moves.set()
        self.made: list[Disk] = []

    def sink(self, *, where: Path | None = None, **options: int) -> Disk:
        def on_failed(lines: int) -> None:
            self.failed += lines

        def on_lost(lines: int) -> None:
            self.lost += lines

        config = FileSinkConfig(path=str(where or self.path), **{"max_size": 0, **options})
        loop = asyncio.get_running_loop()
        self.made.append(Disk("log", loop, on_failed, on_lost, config, moves=self.moves))
        return self.made[-1]

    async def has(self, *lines: int, path: Path | None = None) -> None:
        where = path or self.path
        wanted = b"".join(line(number) for number in lines)
        await eventually(lambda: where.exists() and where.read_bytes() == wanted, PATIENCE)


def line(number: int) -> bytes:
    return b"line %04d\n" % number


def write(sink: ThreadedFileSink, *numbers: int) -> None:
    for number in numbers:
        sink.write(line(number))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "apn.log")
    yield made
    made.moves.set()
    for sink in made.made:
        sink.close()


async def test_lines_are_written_in_order_by_another_thread(bench: Bench) -> None:
    sink = bench.sink()
    for number in range(300):
        write(sink, number)
        if number % 50 == 0:
            await asyncio.sleep(0.01)
    await bench.has(*range(300))
    assert sink.buffered == 0
    assert threading.get_ident() not in sink.threads
    assert (bench.failed, bench.lost) == (0, 0)


async def test_a_disk_that_stands_still_holds_up_nobody_and_loses_only_what_has_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = bench.sink()
    write(sink, 0)
    await bench.has(0)
    monkeypatch.setattr(sinks, "MAX_BUFFERED", 100)
    bench.moves.clear()
    sink.reached.clear()
    write(sink, 1)
    await eventually(sink.reached.is_set, PATIENCE)
    write(sink, *range(2, 21))
    assert sink.buffered == 100
    assert (bench.failed, bench.lost) == (10, 10)
    assert bench.path.read_bytes() == line(0)
    bench.moves.set()
    await bench.has(*range(11))
    assert sink.problem == ""


async def test_a_sink_that_leaves_writes_what_it_has_and_nobody_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_PATIENCE", PATIENCE)
    sink = bench.sink()
    bench.moves.clear()
    write(sink, *range(20))
    sink.leave()
    write(bench.sink(where=bench.path.with_name("other")), 1)
    bench.moves.set()
    await bench.has(*range(20))
    await bench.has(1, path=bench.path.with_name("other"))
    await eventually(lambda: sink._fd < 0, PATIENCE)
    write(sink, 20)
    assert (bench.failed, bench.lost) == (1, 1)


async def test_a_disk_that_stands_still_at_the_end_is_given_up_and_its_lines_are_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_PATIENCE", 0.01)
    sink = bench.sink()
    bench.moves.clear()
    write(sink, 1, 2, 3)
    sink.close()
    sink.close()
    assert "logger log: 3 lines are lost at the end" in caplog.text
    assert bench.lost == 3


async def test_at_the_end_everything_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "WRITE_SIZE", 25)
    monkeypatch.setattr(module, "CLOSE_PATIENCE", PATIENCE)
    sink = bench.sink()
    write(sink, *range(11))
    sink.close()
    assert bench.path.read_bytes() == b"".join(map(line, range(11)))
    assert bench.lost == 0


async def test_what_else_rotates_the_file_has_its_lines_before_it(bench: Bench) -> None:
    sink = bench.sink()
    write(sink, 0, 1)
    await bench.has(0, 1)
    old = bench.path.with_name("rotated")
    bench.path.rename(old)
    write(sink, 2)
    sink.reopen()
    await eventually(bench.path.exists, PATIENCE)
    write(sink, 3)
    await bench.has(3)
    await bench.has(0, 1, 2, path=old)
    bench.path.rename(old)
    sink.reopen()  # with nothing to write, too
    await eventually(bench.path.exists, PATIENCE)


async def test_it_is_reopened_even_when_that_is_asked_while_a_piece_is_written(bench: Bench) -> None:
    sink = bench.sink()
    write(sink, 0)
    await bench.has(0)
    sink.reached.clear()
    bench.moves.clear()
    write(sink, 1)
    await eventually(sink.reached.is_set, PATIENCE)
    bench.path.rename(bench.path.with_name("rotated"))
    sink.reopen()
    bench.moves.set()
    await eventually(bench.path.exists, PATIENCE)


async def test_rotation_by_size_loses_no_line(bench: Bench) -> None:
    sink = bench.sink(max_size=50, max_files=100)
    for number in range(40):
        write(sink, number)
        await asyncio.sleep(0.001)

    def found() -> list[int]:
        files = bench.path.parent.glob("apn.log*")
        return sorted(int(text.split()[1]) for file in files for text in file.read_text().splitlines())

    await eventually(lambda: found() == list(range(40)), PATIENCE)
    assert all(file.stat().st_size <= 50 for file in bench.path.parent.glob("apn.log*"))
    assert bench.path.with_name("apn.log.1") in set(bench.path.parent.iterdir())


async def test_a_file_that_cannot_be_opened_is_a_problem_until_it_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = bench.path.parent / "later" / "apn.log"
    sink = bench.sink(where=where)
    write(sink, 1)
    await eventually(lambda: bench.failed, PATIENCE)
    assert "Remedy: mount a volume at" in sink.problem
    where.parent.mkdir()
    await bench.has(1, path=where)
    await eventually(lambda: not sink.problem, PATIENCE)
    assert (bench.failed, bench.lost) == (1, 0)
    monkeypatch.setattr(sink, "_prepare", lambda _size: 1 / 0)
    write(sink, 2)
    await eventually(lambda: "Input/output error" in sink.problem, PATIENCE)


class Halves:
    """As `os`, but the first write is cut short, and the file is gone then."""

    strerror = staticmethod(os.strerror)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cut = True

    def write(self, descriptor: int, data: bytes) -> int:
        if not self._cut:
            return os.write(descriptor, data)
        self._cut = False
        written = os.write(descriptor, data[:14])
        self._path.unlink()
        return written


async def test_a_line_whose_first_half_went_with_the_file_begins_anew_in_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = bench.sink()
    await eventually(bench.path.exists, PATIENCE)
    monkeypatch.setattr(module, "os", Halves(bench.path))
    write(sink, 1, 2, 3)
    await bench.has(2, 3)
    assert sink.buffered == 0


async def test_a_pipe_that_is_read_late_has_everything(bench: Bench) -> None:
    os.mkfifo(bench.path)
    reader = os.open(bench.path, os.O_RDONLY | os.O_NONBLOCK)
    sink = bench.sink()
    write(sink, *range(10_000))
    await eventually(lambda: 0 < sink.buffered < 60_000, PATIENCE)
    got = b""
    async with asyncio.timeout(PATIENCE):
        while len(got) < 100_000:
            try:
                got += os.read(reader, 65_536)
            except BlockingIOError:
                await asyncio.sleep(0.001)
    os.close(reader)
    assert got == b"".join(map(line, range(10_000)))
    assert bench.lost == 0
